"""Text files with numbers: read, and written back where they changed."""
