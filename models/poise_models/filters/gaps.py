"""Frames at uneven times, and joints nobody saw.

Times are frame numbers: 1 apart where no frame is missing. Shape letters: F frames, K taps.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]

#: Times this close to whole frames are whole frames.
TOLERANCE = 1e-4


def elapsed(frames: int, times_F: Tensor | None) -> Array:
    """Frame numbers (F,) counted from the first frame."""
    if times_F is None:
        return np.arange(frames, dtype=np.float64)
    times: Array = times_F.double().numpy(force=True)
    since: Array = times - times[0]
    return since


def regular(times_F: Tensor | None) -> bool:
    """Whether every frame comes one frame after the last."""
    if times_F is None:
        return True
    return bool(np.all(np.abs(np.diff(elapsed(len(times_F), times_F)) - 1) < TOLERANCE))


def filled(detected_FC: Tensor, times_F: Tensor | None = None) -> Tensor:
    """Put numbers where joints were not seen (NaN).

    Every coordinate is interpolated in time between the frames before and after; at the ends it
    stays as it was nearest. A coordinate that is NaN in every frame stays NaN.

    Args:
        detected_FC: (F, C), returned as it is where nothing is missing.
        times_F: frame numbers; None where no frame is missing.
    """
    missing_FC = detected_FC.isnan()
    if not missing_FC.any():
        return detected_FC
    filled_FC = detected_FC.numpy(force=True).copy()
    holes_FC = missing_FC.numpy(force=True)
    times = elapsed(len(filled_FC), times_F)
    for channel in np.flatnonzero(holes_FC.any(0) & ~holes_FC.all(0)):
        hole_F = holes_FC[:, channel]
        seen_F = filled_FC[~hole_F, channel]
        filled_FC[hole_F, channel] = np.interp(times[hole_F], times[~hole_F], seen_F)
    return torch.from_numpy(filled_FC).to(detected_FC)


class Held:
    """Gaps of a stream: a number that is not seen stays what it was last; NaN before it was."""

    def __init__(self) -> None:
        self._last_C: NDArray[np.float32] | None = None

    def after(self, frame_C: NDArray[np.float32]) -> NDArray[np.float32]:
        """The next frame, without gaps."""
        if self._last_C is not None:
            missing_C = np.isnan(frame_C)
            if missing_C.any():
                frame_C = np.where(missing_C, self._last_C, frame_C)
        self._last_C = frame_C
        return frame_C


def interpolate(times: Array, values_FC: Array, at_G: Array) -> Array:
    """Straight lines through (F, C) at increasing times, read at (G,) times within them."""
    if len(times) == 1:
        return values_FC[np.zeros(len(at_G), dtype=np.intp)]
    left_G = np.clip(np.searchsorted(times, at_G, side="right") - 1, 0, len(times) - 2)
    share_G = (at_G - times[left_G]) / (times[left_G + 1] - times[left_G])
    start_GC = values_FC[left_G]
    result: Array = start_GC + share_G[:, None] * (values_FC[left_G + 1] - start_GC)
    return result


def on_even_grid(
    times: Array,
    values_FC: Array,
    smooth: Callable[[Array, float], Array],
    longest: float,
    fine: int = 1,
) -> Array:
    """Smooth (F, C) at uneven times on an even grid, and read the result off it.

    Args:
        times: frame numbers (F,), increasing.
        values_FC: the sequence.
        smooth: called with the values on a grid and its step, in frames.
        longest: a longer gap parts the sequence in two, which know nothing of each other.
        fine: points of the grid in a frame, where frames come at broken times.
    """
    cuts = np.flatnonzero(np.diff(times) > longest) + 1
    parts = []
    for at_F, part_FC in zip(np.split(times, cuts), np.split(values_FC, cuts), strict=True):
        since_F = at_F - at_F[0]
        whole = bool(np.all(np.abs(since_F - since_F.round()) < TOLERANCE))
        cells = max(int(np.ceil(since_F[-1] * (1 if whole else fine) - TOLERANCE)), 1)
        grid = np.linspace(0.0, since_F[-1], cells + 1 if len(since_F) > 1 else 1)
        even_FC = smooth(interpolate(since_F, part_FC, grid), since_F[-1] / cells)
        parts.append(interpolate(grid, even_FC, since_F))
    return np.concatenate(parts)


def taps(times: Array, centres_F: Array, reach: float) -> tuple[NDArray[np.intp], Array]:
    """Which of the samples at ``times`` (P,), increasing, lie within reach of each centre.

    Returns:
        Their numbers and whether they count, both (F, K), K the most samples of any centre.
    """
    first_F = np.searchsorted(times, centres_F - reach - TOLERANCE, side="left")
    end_F = np.searchsorted(times, centres_F + reach + TOLERANCE, side="right")
    index_FK = first_F[:, None] + np.arange(max(int((end_F - first_F).max()), 1))
    counts_FK = index_FK < end_F[:, None]
    return np.minimum(index_FK, len(times) - 1), counts_FK.astype(np.float64)


def weigh(values_PC: Array, index_FK: NDArray[np.intp], weights_FK: Array) -> Array:
    """Weighted sums of samples: (F, C) from (P, C)."""
    total_FC = np.zeros((len(index_FK), values_PC.shape[1]))
    for index_F, weights_F in zip(index_FK.T, weights_FK.T, strict=True):
        total_FC += weights_F[:, None] * values_PC[index_F]
    return total_FC
