"""Refining while frames come in: each frame is answered a chosen number of frames later."""
