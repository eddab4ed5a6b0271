"""The honest yardstick: take off the training set's mean joint offset, and nothing else.

Estimator and reference often define joints differently. That part of the error is a constant, and
a network that removes it has not yet refined any motion.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from poise_models.base.pose_spec import PoseSpec
from poise_models.base.refiner import Causal, ClosedFormRefiner, Pair, SequenceRefiner
from poise_models.errors import ConfigError
from poise_models.filters.each_frame import EachFrame
from poise_models.filters.gaps import filled
from poise_models.filters.gaussian import gaussian


@dataclass(frozen=True)
class OffsetConfig:
    """The offset has no settings; it is fitted."""


@dataclass(frozen=True)
class OffsetGaussianConfig:
    """Standard deviation of the Gaussian, in frames."""

    sigma: float = 2.0

    def __post_init__(self) -> None:
        if self.sigma <= 0:
            raise ConfigError("offset-gaussian: sigma must be positive")


class Offset(ClosedFormRefiner):
    """Detected poses minus the mean of (detected - truth) over the training frames."""

    name = "offset"
    title = "Offset"

    def __init__(self, spec: PoseSpec, config: OffsetConfig | OffsetGaussianConfig) -> None:
        super().__init__(spec, config)
        self.register_buffer("offset_C", torch.zeros(spec.channels))
        self.offset_C: Tensor

    def fit(self, pairs: Iterable[Pair]) -> None:
        """Learn the offset from all frames.

        Root translation is left out where the network would not see it either (3D), so that a
        world-frame track and a root-relative one give the same offset.
        """
        total_C, frames = torch.zeros_like(self.offset_C, dtype=torch.float64), 0
        for pair in pairs:
            difference_FC = (pair.detected_FC - pair.truth_FC).double()
            total_C += (difference_FC[:, None] - self.centre_of(difference_FC[:, None])).sum((0, 1))
            frames += len(difference_FC)
        self.offset_C = (total_C / frames).float()

    def filter(self, detected_FC: Tensor, times_F: Tensor | None = None) -> Tensor:
        """Pair the offset off (F, C)."""
        return detected_FC - self.offset_C

    def start(self, lag: int) -> Causal:
        """Begin a stream that the offset is taken off."""
        offset_C = self.offset_C.numpy(force=True)
        return EachFrame(lambda frame_C: frame_C - offset_C)


class OffsetGaussian(Offset):
    """The offset taken off, then a whole-sequence Gaussian: the best that needs no network."""

    name = "offset-gaussian"
    title = "Offset + Gaussian"
    config: OffsetGaussianConfig
    start = SequenceRefiner.start

    def filter(self, detected_FC: Tensor, times_F: Tensor | None = None) -> Tensor:
        """Pair the offset off (F, C) and smooth it."""
        raw_FC = filled(super().filter(detected_FC), times_F)
        return gaussian(raw_FC, self.config.sigma, times_F)
