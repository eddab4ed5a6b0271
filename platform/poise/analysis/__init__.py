"""Four analyses of a trained SynSP++, as in its paper: quality, neighbours, losses, latency."""
