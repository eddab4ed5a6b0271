"""Prometheus metrics of one replica, beside the request metrics that Ray Serve has itself."""

from ray.util import metrics


class ServiceMetrics:
    """Frames refined, sequences answered by what retrieval did, and seconds a sequence takes.

    Args:
        model: name of the served model; a tag of every metric.
    """

    def __init__(self, model: str) -> None:
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
        for metric in (self._frames, self._answers, self._seconds):
            metric.set_default_tags({"model": model})

    def count(self, frames: int, retrieval: str, search_backend: str, seconds: float) -> None:
        """Count one answered request.

        Args:
            frames: of its sequence.
            retrieval: whether neighbours took part, as the response says it.
            search_backend: what searches for neighbours.
            seconds: from the parsed request to the refined poses.
        """
        self._frames.inc(frames)
        # The tag keeps its first name: dashboards ask for it.
        self._answers.inc(tags={"retrieval": retrieval, "road": search_backend})
        self._seconds.observe(seconds)
