"""One-Euro: a causal low-pass that follows fast motion and calms slow motion."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from poise_models.base.refiner import SequenceRefiner
from poise_models.errors import ConfigError
from poise_models.filters.gaps import elapsed, filled

Cutoff = TypeVar("Cutoff", float, NDArray[np.float32])


@dataclass(frozen=True)
class OneEuroConfig:
    """Published settings; frequencies are per frame, ``beta`` is per unit of the track."""

    min_cutoff: float = 0.04
    beta: float = 0.7
    derivative_cutoff: float = 1.0

    def __post_init__(self) -> None:
        if min(self.min_cutoff, self.derivative_cutoff) <= 0 or self.beta < 0:
            raise ConfigError("oneeuro: cutoffs must be positive and beta not negative")


class OneEuro(SequenceRefiner):
    """One-Euro: a causal low-pass whose cutoff rises with speed. The first frame passes through.

    The speed is measured from the filtered previous frame, and of 3D poses relative to their root,
    as in the published comparison: a walking person's hand is not fast because the person is. The
    root is filtered by itself and put back. For the linear filters that makes no difference.
    """

    name = "oneeuro"
    title = "One-Euro"
    config: OneEuroConfig

    def filter(self, detected_FC: Tensor, times_F: Tensor | None = None) -> Tensor:
        """Filter (F, C) forward in time, all coordinates at once."""
        raw_FC = filled(detected_FC, times_F)
        steps_F = np.diff(elapsed(len(raw_FC), times_F))
        if not self.spec.centre:
            return self._smooth(raw_FC, steps_F)
        raw_FJD = raw_FC.unflatten(-1, (self.spec.joints, self.spec.dims))
        root_F1D = raw_FJD[:, list(self.spec.roots)].mean(dim=1, keepdim=True)
        apart_FC = torch.cat([raw_FJD - root_F1D, root_F1D], dim=1).flatten(1)
        smooth_FJD = self._smooth(apart_FC, steps_F).unflatten(-1, (-1, self.spec.dims))
        together_FJD: Tensor = smooth_FJD[:, :-1] + smooth_FJD[:, -1:]
        return together_FJD.flatten(1)

    def _smooth(self, raw_FC: Tensor, steps_F: NDArray[np.float64]) -> Tensor:
        # NumPy: on one frame's numbers a call costs a third of what it does in torch.
        config = self.config
        frames = raw_FC.numpy(force=True).copy()
        smooth, speed = frames[0], np.zeros_like(frames[0])
        for frame, step in zip(frames[1:], steps_F.tolist(), strict=True):
            speed = speed + _gain(config.derivative_cutoff, step) * (
                (frame - smooth) / step - speed
            )
            gain = _gain(config.min_cutoff + config.beta * np.abs(speed), step)
            frame[:] = smooth + gain * (frame - smooth)
            smooth = frame
        return torch.from_numpy(frames).to(raw_FC)


def _gain(cutoff: Cutoff, step: float) -> Cutoff:
    ratio = 2 * np.pi * step * cutoff
    return ratio / (ratio + 1)
