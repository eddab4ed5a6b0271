"""What the paper says about SynSP++ beside its tables of results, measured anew."""
