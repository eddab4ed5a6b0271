"""Checks of a lake: what a data engineer looks at before she trusts it."""
