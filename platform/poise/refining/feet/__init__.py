"""Feet that stand do not slide."""
