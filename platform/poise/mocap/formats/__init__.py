"""Formats of motion capture, one module for each, and what they share."""
