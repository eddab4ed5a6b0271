"""JSON files, and folders of them."""
