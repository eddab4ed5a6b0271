"""What is there only for speed."""
