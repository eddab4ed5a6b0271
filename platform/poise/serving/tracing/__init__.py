"""Requests and streams as parts of traces that began elsewhere: W3C trace context."""
