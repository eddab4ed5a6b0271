"""Data sets and tracks, as data."""
