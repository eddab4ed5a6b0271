"""Files of motion capture and of what works with it."""
