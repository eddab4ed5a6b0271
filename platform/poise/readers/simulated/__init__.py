"""Estimators that are drawn: truth in, detections with the errors of real estimators out."""
