"""Sweeps as reports read them: from folders, or from MLflow."""
