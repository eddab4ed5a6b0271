"""What the paper says of a track, beside which our figures stand."""

from collections.abc import Sequence
from dataclasses import dataclass

from poise.catalog.tracks import Track
from poise.runtime.errors import PoiseError
from poise_models import catalogue


@dataclass(frozen=True)
class Figures:
    """What is published of a refiner on a track; None where nothing is."""

    refiner: str
    label: str
    mpjpe: float | None
    pa_mpjpe: float | None
    accel: float | None
    source: str = ""
    note: str = ""

    @property
    def title(self) -> str:
        """As tables call it."""
        name = catalogue.title(self.refiner)
        return f"{name} ({self.label})" if self.label else name

    def of(self, metric: str) -> float | None:
        """Return one of the metrics of a table."""
        value: float | None = getattr(self, metric)
        return value


def published(track: str, plan: str) -> Sequence[Figures]:
    """Return what is published of a track: the rows of the table that a plan is of, else of any."""
    try:
        raw = Track.parse(track).info.published
    except PoiseError:
        return []
    if raw.mpjpe is None and raw.accel is None:
        return []
    return [Figures("input", "", raw.mpjpe, raw.pa_mpjpe, raw.accel, "the data's authors")]


def some_published(track: str) -> tuple[Sequence[Figures], str]:
    """Return what is published of a track, else of one like it, and in words which that is."""
    return published(track, ""), f"the paper's of {track}"
