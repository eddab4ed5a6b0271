"""What the streams of a replica did lately, counted until somebody asks."""

from dataclasses import dataclass


@dataclass
class StreamCounts:
    """Since they were asked for last, but `open`, which is now.

    Attributes:
        open: streams, those that wait for clients to come back too.
        frames_in: that came.
        frames_out: that were refined and kept for their clients.
        late: of those that came, which waited for more than a frame's time to be refined.
        dropped: refined frames that slow clients never get.
        longest_s: that a frame waited to be refined, beyond its lag.
    """

    open: int = 0
    frames_in: int = 0
    frames_out: int = 0
    late: int = 0
    dropped: int = 0
    longest_s: float = 0.0

    def refined(self, came: int, told: int, waited_s: float, frame_s: float) -> None:
        """Count a turn of one stream: frames that came, were told, and waited for so long."""
        self.frames_in += came
        self.frames_out += told
        self.late += came if waited_s > frame_s else 0
        self.longest_s = max(self.longest_s, waited_s)
