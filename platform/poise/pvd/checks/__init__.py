"""Checks of a PVD against the lake that it was made from."""
