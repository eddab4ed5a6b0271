"""Keypoint files over HTTP: what is asked of one, and processes that read and refine it."""
