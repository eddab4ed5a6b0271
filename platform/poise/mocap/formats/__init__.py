"""One module for each motion capture format, and what they share."""
