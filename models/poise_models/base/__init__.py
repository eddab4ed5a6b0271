"""What every refiner shares: the interface, windows, losses, training."""
