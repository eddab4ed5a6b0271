"""Poise: smooth and precise motion from the output of human pose estimators."""
