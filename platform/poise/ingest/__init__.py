"""From a raw track to the lake and its Pose Vector Database."""
