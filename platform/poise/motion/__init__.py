"""Keypoint files of other tools: read into a `Motion`, written back."""
