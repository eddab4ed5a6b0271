"""Metrics, the one evaluation routine, tables and plots."""
