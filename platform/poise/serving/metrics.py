"""Prometheus metrics of one replica, beside the request metrics that Ray Serve has itself."""

from ray.util import metrics

from poise.serving.streams.counts import StreamCounts


class ServiceMetrics:
    """Frames refined, sequences answered by what retrieval did, and seconds a sequence takes."""

    def __init__(self) -> None:
        self._frames = metrics.Counter(
            "poise_frames", description="Frames refined.", tag_keys=("model",)
        )
        self._answers = metrics.Counter(
            "poise_answers",
            description="Sequences refined, by what retrieval did and who searched.",
            tag_keys=("model", "retrieval", "road"),
        )
        self._seconds = metrics.Histogram(
            "poise_refine_seconds",
            description="From the parsed request to the refined poses.",
            boundaries=[0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30],
            tag_keys=("model",),
        )
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

    def count_streams(self, counts: StreamCounts) -> None:
        """Count what all streams did since the last time."""
        self._streams.set(counts.open)
        self._wait.set(counts.longest_s)
        found = (counts.frames_in, counts.frames_out, counts.late, counts.dropped)
        for counter, frames in zip(self._of_streams.values(), found, strict=True):
            if frames:
                counter.inc(frames)

    def count(
        self, model: str, frames: int, retrieval: str, search_backend: str, seconds: float
    ) -> None:
        """Count one answered request.

        Args:
            model: what refined it.
            frames: of its sequence.
            retrieval: whether neighbours took part, as the response says it.
            search_backend: what searches for neighbours.
            seconds: from the parsed request to the refined poses.
        """
        tags = {"model": model}
        self._frames.inc(frames, tags)
        # The tag keeps its first name: dashboards ask for it.
        self._answers.inc(tags=tags | {"retrieval": retrieval, "road": search_backend})
        self._seconds.observe(seconds, tags)
