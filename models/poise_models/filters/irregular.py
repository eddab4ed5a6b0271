"""Gaussian and Savitzky-Golay for frames at uneven times: at even times they are SciPy's.

Shape letters: N blocks filtered by themselves, F frames of a block, R copies of a block side by
side, K taps.
"""

import numpy as np
from numpy.typing import NDArray

from poise_models.filters.gaps import TOLERANCE, Array, taps, weigh

#: The Gaussian ends here, in standard deviations.
TRUNCATE = 4.0


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
    mirrored_NF = length_N[:, None] - inner_NF[:, ::-1]
    even_R11 = (number_R % 2 == 0)[:, None, None]
    times_RNF = np.where(even_R11, inner_NF, mirrored_NF)
    times_RNF = times_RNF + number_R[:, None, None] * length_N[:, None]
    values_RNFC = np.where(even_R11[..., None], values_NFC, values_NFC[:, ::-1])
    # All blocks on one time axis, too far apart to touch.
    extent_N = len(number_R) * length_N + 2 * reach + 1
    apart_N = np.cumsum(extent_N) - extent_N + copies * length_N
    times_NRF = times_RNF.transpose(1, 0, 2) + apart_N[:, None, None]
    samples = times_NRF.reshape(-1)
    centres = (inner_NF + apart_N[:, None]).reshape(-1)
    index_FK, counts_FK = taps(samples, centres, reach)
    distance_FK = (samples[index_FK] - centres[:, None]) / sigma
    weights_FK = np.exp(-0.5 * distance_FK**2) * counts_FK
    weights_FK /= weights_FK.sum(1, keepdims=True)
    smooth_FC = weigh(values_RNFC.transpose(1, 0, 2, 3).reshape(-1, channels), index_FK, weights_FK)
    return smooth_FC.reshape(blocks, frames, channels)


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
