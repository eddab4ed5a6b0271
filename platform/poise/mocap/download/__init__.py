"""Download open motion capture data."""
