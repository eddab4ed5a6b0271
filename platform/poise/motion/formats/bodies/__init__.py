"""Results that are bodies of the SMPL family."""
