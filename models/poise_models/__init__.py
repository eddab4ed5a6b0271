"""Every method of the paper as a refiner; torch, NumPy and SciPy only."""
