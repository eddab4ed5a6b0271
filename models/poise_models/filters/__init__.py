"""Refiners without weights, or with closed-form ones."""
