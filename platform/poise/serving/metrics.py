"""Prometheus metrics of one replica, beside the request metrics that Ray Serve has itself."""

from ray.util import metrics


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
