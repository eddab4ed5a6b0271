"""Plans, trials, sweeps, and their mirror in MLflow."""
