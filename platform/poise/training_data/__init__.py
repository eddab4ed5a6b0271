"""From the lake to tensors: windows to train on, sequences to score."""
