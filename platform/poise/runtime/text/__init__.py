"""Text: files in any encoding, what a terminal may show, tables."""
