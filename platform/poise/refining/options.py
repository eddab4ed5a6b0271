"""What a user may say about how motion is refined."""

import math
from dataclasses import dataclass
from typing import Final, Literal

from poise.checkpoints.shipped import GENERAL
from poise.runtime.errors import SettingsError

#: Filters by name; everything else names a model.
FILTERS: Final = (
    "butterworth",
    "savgol",
    "oneeuro",
    "gaussian1d",
    "median",
    "kalman",
    "spline",
)
#: In Hz; a motion of which less is left stands still.
LOWEST_CUTOFF: Final = 0.01


@dataclass(frozen=True, kw_only=True)
class Options:
    """How motion is refined.

    Attributes:
        refiner: one of `FILTERS`, ``poise:general``, a checkpoint folder or a registered model.
        cutoff: of a filter, in Hz: half of an oscillation so fast is left. ``auto`` finds it by
            residual analysis (Winter).
        fill: the longest gap that is filled, in seconds; 0 fills none, infinity all. Nothing is
            filled before a joint was first seen, or after it was last seen.
        min_confidence: a joint that the estimator is less sure of counts as not seen.
        track: whether to find out who is who; None does it where the file does not say.
        people: ids of those to refine; none for everybody.
        rigid: whether bones are held at their median lengths, in 3D.
        feet: whether feet that stand are held where they stand, in 3D.
        rate: frames a second of motion that has no rate.
        lag: frames that a network waits for before it refines one, as a stream does; None: all that
            its windows hold.
    """

    refiner: str = GENERAL
    cutoff: float | Literal["auto"] = 6.0
    fill: float = 0.5
    min_confidence: float = 0.3
    track: bool | None = None
    people: tuple[str, ...] = ()
    rigid: bool = False
    feet: bool = False
    rate: float = 30.0
    lag: int | None = None

    def __post_init__(self) -> None:
        """Raise `SettingsError` where a value makes no sense."""
        if self.cutoff != "auto" and not LOWEST_CUTOFF <= self.cutoff < math.inf:
            raise SettingsError(f"cutoff {self.cutoff} must be 0.01 Hz or more, or auto")
        if not self.fill >= 0:
            raise SettingsError(f"fill {self.fill} must be seconds, at least 0 (or none, or all)")
        if not math.isfinite(self.min_confidence):
            raise SettingsError(f"min-confidence {self.min_confidence} must be a number")
        if self.lag is not None and (self.is_filter or self.lag < 0):
            raise SettingsError("a lag is a network's, and at least 0 frames: filters see all")
        if not 0 < self.rate < math.inf:
            raise SettingsError(f"{self.rate} frames a second must be above 0")

    @property
    def is_filter(self) -> bool:
        """Whether the refiner is a filter, and no network."""
        return self.refiner in FILTERS
