"""Tables: a row for each frame, or for each joint."""
