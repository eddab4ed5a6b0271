"""Pictures and figures of a Pose Vector Database."""
