"""Raw tracks: files or a synthetic body in, sequences out."""
