"""The Pose Vector Database of a track: fill it, search it, check it, look at it."""
