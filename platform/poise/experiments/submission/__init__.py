"""What a submission of a plan will run: which of its trials, on which data, for how long."""
