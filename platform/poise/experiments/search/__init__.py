"""Search over a network's settings, on validation subjects alone."""
