"""Verbs for keypoint files."""
