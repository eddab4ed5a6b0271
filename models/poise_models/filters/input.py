"""The estimator's output as it came: the first row of every table."""

from dataclasses import dataclass

from torch import Tensor

from poise_models.base.refiner import Causal, SequenceRefiner
from poise_models.filters.each_frame import EachFrame


@dataclass(frozen=True)
class InputConfig:
    """The input row has no settings."""


class Input(SequenceRefiner):
    """The estimator's output as it came: the first row of every table."""

    name = "input"
    title = "Input"

    def filter(self, detected_FC: Tensor, times_F: Tensor | None = None) -> Tensor:
        """Return (F, C) unchanged."""
        return detected_FC

    def start(self, lag: int) -> Causal:
        """Begin a stream of frames that stay as they are."""
        return EachFrame(lambda frame_C: frame_C)
