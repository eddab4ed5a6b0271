"""Test sequences refined again, by the weights that trials kept."""
