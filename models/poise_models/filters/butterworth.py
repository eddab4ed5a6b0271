"""Butterworth: the low-pass that motion analysts use, run forward and back so that nothing lags."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from poise_models.base.refiner import Causal, SequenceRefiner
from poise_models.errors import ConfigError
from poise_models.filters.even import low_pass
from poise_models.filters.gaps import Array, elapsed, filled, on_even_grid, regular
from poise_models.filters.one_pass import LONG_GAP, OnePass

#: Samples of a frame where frames come at broken times: straight lines then lose nothing.
FINE = 4


@dataclass(frozen=True)
class ButterworthConfig:
    """A low-pass in cycles a frame: 0.12 is 3.6 Hz at 30 fps and 6 Hz at 50 fps.

    The passes there and back multiply: ``order`` is that of one pass, and at ``cutoff`` half of
    an oscillation is left.
    """

    cutoff: float = 0.12
    order: int = 4

    def __post_init__(self) -> None:
        if not 0 < self.cutoff < 0.5 or self.order < 1:
            raise ConfigError("butterworth: cutoff must lie in (0, 0.5) and order be at least 1")


class Butterworth(SequenceRefiner):
    """Zero-phase Butterworth low-pass over the whole sequence."""

    name = "butterworth"
    title = "Butterworth"
    config: ButterworthConfig

    def filter(self, detected_FC: Tensor, times_F: Tensor | None = None) -> Tensor:
        """Filter (F, C); frames at uneven times are filtered on an even grid and read off it."""
        raw_FC = filled(detected_FC, times_F).numpy(force=True).astype(np.float64)
        if regular(times_F):
            smooth_FC = self._low_pass(raw_FC, 1.0)
        else:
            times, longest = elapsed(len(raw_FC), times_F), LONG_GAP / self.config.cutoff
            smooth_FC = on_even_grid(times, raw_FC, self._low_pass, longest, FINE)
        return torch.from_numpy(np.ascontiguousarray(smooth_FC)).to(detected_FC)

    def start(self, lag: int) -> Causal:
        """Begin a stream: one pass forward (`poise_models.filters.one_pass`)."""
        return OnePass(self.config.cutoff, self.config.order, lag)

    def _low_pass(self, even_FC: Array, step: float) -> Array:
        return low_pass(even_FC, self.config.cutoff * step, self.config.order)
