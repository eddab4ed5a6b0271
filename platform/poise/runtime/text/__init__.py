"""Text: files in any encoding, and tables."""
