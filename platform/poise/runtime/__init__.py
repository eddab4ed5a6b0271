"""What a Poise process runs on: Ray, storage, locks, the home, errors."""
