"""Reports as files: what one is made of, and its two forms."""
