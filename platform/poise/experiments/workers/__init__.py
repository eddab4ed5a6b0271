"""Several workers that train the network of one trial together."""
