"""From the bytes of a request to frames: how much is taken, how it is read, what it must be."""
