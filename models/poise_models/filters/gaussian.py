"""Gaussian: the weighted mean of the frames around each frame, at even and uneven times.

Shape letters: N blocks filtered by themselves, F frames of a block, R copies of a block side by
side, K taps.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from poise_models.base.refiner import SequenceRefiner
from poise_models.errors import ConfigError
from poise_models.filters.gaps import Array, elapsed, filled, regular, taps, weigh

#: The Gaussian ends here, in standard deviations.
TRUNCATE = 4.0


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


def gaussian_at(times_NF: Array, values_NFC: Array, sigma: float) -> Array:
    """Gaussian means of the frames around each frame, every block mirrored at its ends.

    Args:
        times_NF: increasing in every block.
        values_NFC: the blocks.
        sigma: in the unit of the times.
    """
    blocks, frames, channels = values_NFC.shape
    reach = float(int(TRUNCATE * sigma + 0.5))
    inner_NF = times_NF - times_NF[:, :1] + 0.5
    length_N = inner_NF[:, -1] + 0.5
    copies = int(np.ceil(reach / length_N.min()))
    number_R = np.arange(-copies, copies + 1)
    times_NRF, values_NRFC = _mirrored(inner_NF, values_NFC, length_N, number_R)
    # All blocks on one time axis, too far apart to touch.
    extent_N = len(number_R) * length_N + 2 * reach + 1
    apart_N = np.cumsum(extent_N) - extent_N + copies * length_N
    samples = (times_NRF + apart_N[:, None, None]).reshape(-1)
    centres = (inner_NF + apart_N[:, None]).reshape(-1)
    index_FK, counts_FK = taps(samples, centres, reach)
    distance_FK = (samples[index_FK] - centres[:, None]) / sigma
    weights_FK = np.exp(-0.5 * distance_FK**2) * counts_FK
    weights_FK /= weights_FK.sum(1, keepdims=True)
    smooth_FC = weigh(values_NRFC.reshape(-1, channels), index_FK, weights_FK)
    return smooth_FC.reshape(blocks, frames, channels)


def _mirrored(
    times_NF: Array, values_NFC: Array, length_N: Array, number_R: NDArray[np.int_]
) -> tuple[Array, Array]:
    """Copies of every block side by side, (N, R, F) and (N, R, F, C), every other one reversed."""
    reversed_NF = length_N[:, None] - times_NF[:, ::-1]
    even_R1 = (number_R % 2 == 0)[:, None]
    times_NRF = np.where(even_R1, times_NF[:, None], reversed_NF[:, None])
    times_NRF = times_NRF + number_R[:, None] * length_N[:, None, None]
    even_R11 = even_R1[..., None]
    return times_NRF, np.where(even_R11, values_NFC[:, None], values_NFC[:, None, ::-1])
