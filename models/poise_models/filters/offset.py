"""The honest yardstick: take off the training set's mean joint offset, and nothing else.

Estimator and reference often define joints differently. That part of the error is a constant, and
a network that removes it has not yet refined any motion.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from poise_models.base.pose_spec import PoseSpec
from poise_models.base.refiner import SequenceRefiner
from poise_models.errors import ConfigError
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


class Offset(SequenceRefiner):
    """Detected poses minus the mean of (detected - truth) over the training frames."""

    name = "offset"
    title = "Offset"
    learns = True

    def __init__(self, spec: PoseSpec, config: OffsetConfig | OffsetGaussianConfig) -> None:
        super().__init__(spec, config)
        self.register_buffer("offset_C", torch.zeros(spec.channels))
        self.offset_C: Tensor

    def fit(self, detected_FC: Tensor, truth_FC: Tensor) -> None:
        """Learn the offset from all training frames, both (F, C).

        Root translation is left out where the network would not see it either (3D), so that a
        world-frame track and a root-relative one give the same offset.
        """
        difference_FC = (detected_FC - truth_FC).double()
        if self.spec.centre:
            joints = difference_FC.reshape(-1, self.spec.joints, self.spec.dims)
            joints = joints - joints[:, list(self.spec.roots)].mean(dim=1, keepdim=True)
            difference_FC = joints.reshape(difference_FC.shape)
        self.offset_C = difference_FC.mean(dim=0).float()

    def filter(self, detected_FC: Tensor, times_F: Tensor | None = None) -> Tensor:
        """Take the offset off (F, C)."""
        return detected_FC - self.offset_C


class OffsetGaussian(Offset):
    """The offset taken off, then a whole-sequence Gaussian: the best that needs no network."""

    name = "offset-gaussian"
    title = "Offset + Gaussian"
    config: OffsetGaussianConfig

    def filter(self, detected_FC: Tensor, times_F: Tensor | None = None) -> Tensor:
        """Take the offset off (F, C) and smooth it."""
        raw_FC = filled(super().filter(detected_FC), times_F)
        return gaussian(raw_FC, self.config.sigma, times_F)
