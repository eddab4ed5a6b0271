"""Search in this process."""
