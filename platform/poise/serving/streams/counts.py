"""What the streams of a replica did lately, counted until somebody asks, and as metrics."""

from dataclasses import dataclass

from ray.util import metrics


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


class StreamMetrics:
    """The same for Prometheus."""

    def __init__(self) -> None:
        self._streams = metrics.Gauge("poise_streams", description="Streams that are open.")
        self._wait = metrics.Gauge(
            "poise_stream_wait_seconds",
            description="The longest that a frame of a stream waited beyond its lag in a second.",
        )
        self._of_streams = {
            name: metrics.Counter(f"poise_stream_frames_{name}", description=text)
            for name, text in (
                ("in", "Frames of streams that came."),
                ("out", "Frames of streams that were refined."),
                ("late", "Frames that waited to be refined for more than a frame's time."),
                ("dropped", "Refined frames that slow clients never get."),
            )
        }

    def count(self, counts: StreamCounts) -> None:
        """Count what all streams did since the last time."""
        self._streams.set(counts.open)
        self._wait.set(counts.longest_s)
        found = (counts.frames_in, counts.frames_out, counts.late, counts.dropped)
        for counter, frames in zip(self._of_streams.values(), found, strict=True):
            if frames:
                counter.inc(frames)
