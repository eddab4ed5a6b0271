"""Savitzky-Golay: a least-squares polynomial around every frame, at even and uneven times.

Shape letters: F frames, K taps.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from poise_models.base.refiner import SequenceRefiner
from poise_models.errors import ConfigError
from poise_models.filters.even import savgol
from poise_models.filters.gaps import TOLERANCE, Array, elapsed, filled, regular, taps, weigh


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

    def filter(self, detected_FC: Tensor, times_F: Tensor | None = None) -> Tensor:
        """Filter (F, C); a sequence too short for the polynomial stays as it is."""
        raw_FC = filled(detected_FC, times_F)
        raw, order = raw_FC.numpy(force=True), self.config.order
        if not regular(times_F):
            times = elapsed(len(raw), times_F)
            smooth = savgol_at(times, raw.astype(np.float64), self.config.window, order)
            return torch.from_numpy(smooth).to(detected_FC)
        return torch.from_numpy(savgol(raw, self.config.window, order)).to(detected_FC)


def savgol_at(times: Array, values_FC: Array, window: int, order: int) -> Array:
    """Read each frame off the least-squares polynomial through the frames around it.

    Near the ends that is the polynomial of the first or the last window. Where gaps leave fewer
    than ``order + 1`` frames, the polynomial's order drops to what they carry.

    Args:
        times: frame numbers (F,), increasing.
        values_FC: the sequence.
        window: frames that the polynomial spans, odd.
        order: of the polynomial.
    """
    half = min((window - 1) // 2, int((times[-1] - times[0] + TOLERANCE) // 2))
    centres = np.clip(times, times[0] + half, max(times[-1] - half, times[0] + half))
    index_FK, counts_FK = taps(times, centres, half)
    scale = max(half, 1)
    places_FK = (times[index_FK] - centres[:, None]) / scale
    here_F = (times - centres) / scale
    weights_FK = _polynomial_weights(places_FK, counts_FK, here_F, order)
    return weigh(values_FC, index_FK, weights_FK)


def _polynomial_weights(
    places_FK: Array, counts_FK: NDArray[np.float64], here_F: Array, order: int
) -> Array:
    """Weights that read a least-squares polynomial at a place, by orthogonal polynomials."""
    weights_FK = np.zeros_like(places_FK)
    now_FK, now_F = np.ones_like(places_FK), np.ones_like(here_F)
    last_FK, last_F, last_norm_F = np.zeros_like(now_FK), np.zeros_like(now_F), np.ones_like(now_F)
    for degree in range(order + 1):
        norm_F = (counts_FK * now_FK**2).sum(1)
        carried_F = (norm_F > 1e-9) & (degree < counts_FK.sum(1))
        safe_F = np.where(carried_F, norm_F, 1.0)
        weights_FK += counts_FK * now_FK * (carried_F * now_F / safe_F)[:, None]
        shift_F = (counts_FK * places_FK * now_FK**2).sum(1) / safe_F
        ratio_F = norm_F / last_norm_F if degree else np.zeros_like(norm_F)
        next_FK = (places_FK - shift_F[:, None]) * now_FK - ratio_F[:, None] * last_FK
        next_F = (here_F - shift_F) * now_F - ratio_F * last_F
        last_FK, last_F, last_norm_F = now_FK, now_F, safe_F
        now_FK, now_F = next_FK, next_F
    return weights_FK
