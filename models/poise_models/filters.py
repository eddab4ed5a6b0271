"""The classical filters of the paper's comparison, at their published settings, and the input row.

All of them smooth every coordinate by itself, along time, in the units of the track.
"""

from dataclasses import dataclass

import torch
from scipy.ndimage import gaussian_filter1d
from scipy.signal import savgol_filter
from torch import Tensor

from poise_models.errors import ConfigError
from poise_models.refiner import PoseSpec, SequenceRefiner


@dataclass(frozen=True)
class InputConfig:
    """The input row has no settings."""


class Input(SequenceRefiner):
    """The estimator's output as it came: the first row of every table."""

    name = "input"
    title = "Input"

    def __init__(self, spec: PoseSpec, config: InputConfig) -> None:
        super().__init__(spec, config)

    def filter(self, detected_FC: Tensor) -> Tensor:
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
    """One-Euro: a causal low-pass whose cutoff rises with speed. The first frame passes through."""

    name = "oneeuro"
    title = "One-Euro"
    config: OneEuroConfig

    def __init__(self, spec: PoseSpec, config: OneEuroConfig) -> None:
        super().__init__(spec, config)

    def filter(self, detected_FC: Tensor) -> Tensor:
        """Filter (F, C) forward in time, all coordinates at once."""
        config = self.config
        derivative_gain = _gain(torch.tensor(config.derivative_cutoff))
        smooth, speed = detected_FC[0], torch.zeros_like(detected_FC[0])
        frames = [smooth]
        for frame in detected_FC[1:]:
            speed = speed + derivative_gain * (frame - smooth - speed)
            gain = _gain(config.min_cutoff + config.beta * speed.abs())
            smooth = smooth + gain * (frame - smooth)
            frames.append(smooth)
        return torch.stack(frames)


def _gain(cutoff: Tensor) -> Tensor:
    ratio = 2 * torch.pi * cutoff
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

    def filter(self, detected_FC: Tensor) -> Tensor:
        """Filter (F, C); in blocks, the frames after the last whole block stay as they are."""
        block = self.config.block
        if not block:
            return gaussian(detected_FC, self.config.sigma)
        whole = len(detected_FC) // block * block
        if not whole:
            return detected_FC
        blocks = detected_FC[:whole].unflatten(0, (-1, block))
        smooth = gaussian(blocks, self.config.sigma, axis=1).flatten(0, 1)
        return torch.cat([smooth, detected_FC[whole:]])


def gaussian(signal: Tensor, sigma: float, axis: int = 0) -> Tensor:
    """Gaussian low-pass along one axis, mirrored at the ends."""
    smooth = gaussian_filter1d(signal.numpy(force=True), sigma, axis=axis, mode="reflect")
    return torch.from_numpy(smooth).to(signal)


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

    def filter(self, detected_FC: Tensor) -> Tensor:
        """Filter (F, C); a sequence too short for the polynomial stays as it is."""
        window = min(self.config.window, len(detected_FC) - 1 + len(detected_FC) % 2)
        if window <= self.config.order:
            return detected_FC
        smooth = savgol_filter(detected_FC.numpy(force=True), window, self.config.order, axis=0)
        return torch.from_numpy(smooth).to(detected_FC)
