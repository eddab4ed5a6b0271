"""Tokens: who shows which, and what each may have."""
