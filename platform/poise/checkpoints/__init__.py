"""Trained refiners as files, and the registry that names them."""
