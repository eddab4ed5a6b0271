"""The classical filters of the paper's comparison, at their published settings, and the input row.

All of them smooth every coordinate by itself, along time, in the units of the track. Joints that
were not seen (NaN) are first interpolated in time; frames that are missing, or come at uneven times
(``times_F``), are filtered by their true times.
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import savgol_filter
from torch import Tensor

from poise_models.base.refiner import PoseSpec, SequenceRefiner
from poise_models.errors import ConfigError
from poise_models.filters.gaps import elapsed, filled, regular
from poise_models.filters.irregular import gaussian_at, savgol_at

Cutoff = TypeVar("Cutoff", float, NDArray[np.float32])


@dataclass(frozen=True)
class InputConfig:
    """The input row has no settings."""


class Input(SequenceRefiner):
    """The estimator's output as it came: the first row of every table."""

    name = "input"
    title = "Input"

    def __init__(self, spec: PoseSpec, config: InputConfig) -> None:
        super().__init__(spec, config)

    def filter(self, detected_FC: Tensor, times_F: Tensor | None = None) -> Tensor:
        """Return (F, C) unchanged."""
        return detected_FC


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

    def __init__(self, spec: PoseSpec, config: OneEuroConfig) -> None:
        super().__init__(spec, config)

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


@dataclass(frozen=True)
class Gaussian1dConfig:
    """Published settings. ``block`` frames are filtered by themselves; 0 filters the sequence.

    The published comparison filters blocks of 31 frames independently and leaves the rest of the
    sequence raw, which costs it much of its smoothness.
    """

    sigma: float = 3.0
    block: int = 31

    def __post_init__(self) -> None:
        if self.sigma <= 0 or self.block < 0:
            raise ConfigError("gaussian1d: sigma must be positive and block not negative")


class Gaussian1d(SequenceRefiner):
    """Gaussian low-pass, mirrored at the ends."""

    name = "gaussian1d"
    title = "Gaussian1d"
    config: Gaussian1dConfig

    def __init__(self, spec: PoseSpec, config: Gaussian1dConfig) -> None:
        super().__init__(spec, config)

    def filter(self, detected_FC: Tensor, times_F: Tensor | None = None) -> Tensor:
        """Filter (F, C); in blocks, the frames after the last whole block stay as they are."""
        raw_FC = filled(detected_FC, times_F)
        block = self.config.block or len(raw_FC)
        whole = len(raw_FC) // block * block
        smooth_FC = gaussian(raw_FC[:whole], self.config.sigma, times_F, block)
        return torch.cat([smooth_FC, raw_FC[whole:]])


def gaussian(
    signal_FC: Tensor, sigma: float, times_F: Tensor | None = None, block: int | None = None
) -> Tensor:
    """Gaussian low-pass, mirrored at the ends, of whole blocks of frames (all of them by default).

    At uneven times, the weight of a frame is that of its distance in time.
    """
    if not len(signal_FC):
        return signal_FC
    blocks = signal_FC.numpy(force=True).reshape(-1, block or len(signal_FC), signal_FC.shape[1])
    if times_F is None or regular(times_F):
        smooth = gaussian_filter1d(blocks, sigma, axis=1, mode="reflect")
    else:
        times = elapsed(len(times_F), times_F)[: len(signal_FC)].reshape(blocks.shape[:2])
        smooth = gaussian_at(times, blocks.astype(np.float64), sigma)
    return torch.from_numpy(smooth).to(signal_FC).flatten(0, 1)


@dataclass(frozen=True)
class SavitzkyGolayConfig:
    """Published settings; shorter sequences use the longest odd window that fits."""

    window: int = 31
    order: int = 2

    def __post_init__(self) -> None:
        if not 0 <= self.order < self.window:
            raise ConfigError("savgol: order must lie between 0 and window - 1")


class SavitzkyGolay(SequenceRefiner):
    """Savitzky-Golay: a least-squares polynomial around every frame."""

    name = "savgol"
    title = "Savitzky-Golay"
    config: SavitzkyGolayConfig

    def __init__(self, spec: PoseSpec, config: SavitzkyGolayConfig) -> None:
        super().__init__(spec, config)

    def filter(self, detected_FC: Tensor, times_F: Tensor | None = None) -> Tensor:
        """Filter (F, C); a sequence too short for the polynomial stays as it is."""
        raw_FC = filled(detected_FC, times_F)
        raw, order = raw_FC.numpy(force=True), self.config.order
        if not regular(times_F):
            times = elapsed(len(raw), times_F)
            smooth = savgol_at(times, raw.astype(np.float64), self.config.window, order)
            return torch.from_numpy(smooth).to(detected_FC)
        window = min(self.config.window, len(raw) - 1 + len(raw) % 2)
        if window <= order:
            return raw_FC
        return torch.from_numpy(savgol_filter(raw, window, order, axis=0)).to(detected_FC)
