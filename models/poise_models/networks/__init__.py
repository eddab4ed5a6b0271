"""The networks of the paper, one file a method."""
