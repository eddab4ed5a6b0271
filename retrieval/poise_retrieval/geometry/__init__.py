"""From poses to vectors: skeletons, alignment, embedding."""
