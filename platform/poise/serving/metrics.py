"""Prometheus metrics of one replica: requests, steps of networks, searches for neighbours.

Ray Serve has its own at the proxies; `poise.serving.streams.counts` has those of streams.
"""

from collections.abc import Mapping
from typing import Final

from ray.util import metrics

_SECONDS: Final = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30]


class ServiceMetrics:
    """What was refined for requests, and how long it took."""

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
        self._stages = metrics.Histogram(
            "poise_stage_seconds",
            description="What a request spent in each stage, as its answer's `timing` says.",
            boundaries=_SECONDS,
            tag_keys=("model", "stage"),
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

    def count_stages(self, model: str, spent_s: Mapping[str, float]) -> None:
        """Count what one request spent in each stage, in seconds."""
        for stage, seconds in spent_s.items():
            self._stages.observe(seconds, {"model": model, "stage": stage})


class StepMetrics:
    """What the steps of a model's network hold; a step is shared by all requests at hand.

    Args:
        model: its name.
    """

    def __init__(self, model: str) -> None:
        self._tags = {"model": model}
        self._windows = metrics.Counter(
            "poise_windows", description="Windows of requests refined.", tag_keys=("model",)
        )
        self._fill = metrics.Histogram(
            "poise_batch_fill",
            description="Share of a step's room for windows that was filled.",
            boundaries=[0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 1],
            tag_keys=("model",),
        )

    def count(self, windows: int, room: int) -> None:
        """Count a step of some windows, which had room for so many."""
        self._windows.inc(windows, self._tags)
        # Everybody chosen has a window in it, however small the room.
        self._fill.observe(min(windows / room, 1.0), self._tags)


class SearchMetrics:
    """Searches for neighbours: for how many windows, what came of it, and how long one took."""

    def __init__(self) -> None:
        self._windows = metrics.Counter(
            "poise_search_windows",
            description="Windows that neighbours were wanted for, by what came of it: found, "
            "failed, unavailable (nobody was asked), no_embedding.",
            tag_keys=("outcome",),
        )
        self._seconds = metrics.Histogram(
            "poise_search_seconds",
            description="A search for the neighbours of a batch of windows.",
            boundaries=_SECONDS,
            tag_keys=("outcome",),
        )

    def count(self, outcome: str, windows: int, seconds: float | None) -> None:
        """Count a search for the neighbours of some windows; no seconds where nobody was asked."""
        tags = {"outcome": outcome}
        if windows:
            self._windows.inc(windows, tags)
        if seconds is not None:
            self._seconds.observe(seconds, tags)
