"""The synthetic track: a body that moves, seen by a simulated estimator."""
