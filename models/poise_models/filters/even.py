"""The filters' arithmetic on NumPy arrays: who only filters a file does not wait for torch.

Frames are 1 apart. Shape letters: F frames, C numbers of a frame.
"""

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, savgol_filter, sosfiltfilt

Array = NDArray[np.float64]
Floats = NDArray[np.float32]
Cutoff = TypeVar("Cutoff", float, Floats)


def low_pass(even_FC: Array, cutoff: float, order: int) -> Array:
    """Butterworth there and back.

    Args:
        even_FC: without gaps.
        cutoff: in cycles a frame; half of an oscillation so fast is left.
        order: of one pass.
    """
    if len(even_FC) == 1:
        return even_FC
    sections = butter(order, 2 * cutoff, output="sos")
    # SciPy's own length of padding, as far as a short sequence has it.
    padding = min(3 * (order + 1), len(even_FC) - 1)
    smooth: Array = sosfiltfilt(sections, even_FC, axis=0, padlen=padding)
    return smooth


def savgol(even_FC: NDArray[Any], window: int, order: int) -> NDArray[Any]:
    """Savitzky-Golay; a sequence too short for the polynomial stays as it is."""
    window = min(window, len(even_FC) - 1 + len(even_FC) % 2)
    if window <= order:
        return even_FC
    smooth: NDArray[Any] = savgol_filter(even_FC, window, order, axis=0)
    return smooth


class Calmed:
    """One-Euro at work: the last frame as it was filtered, and its speed."""

    def __init__(self, min_cutoff: float, beta: float, derivative_cutoff: float) -> None:
        self.min_cutoff, self.beta, self.derivative_cutoff = min_cutoff, beta, derivative_cutoff
        self.smooth_C: Floats | None = None
        self.speed_C: Floats | None = None

    def after(self, frame_C: Floats, step: float) -> Floats:
        """The next frame, filtered; the first passes through."""
        if self.smooth_C is None or self.speed_C is None:
            self.smooth_C, self.speed_C = frame_C, np.zeros_like(frame_C)
            return frame_C
        fast_C = (frame_C - self.smooth_C) / step - self.speed_C
        self.speed_C = self.speed_C + _gain(self.derivative_cutoff, step) * fast_C
        cutoff_C = (self.min_cutoff + self.beta * np.abs(self.speed_C)).astype(frame_C.dtype)
        self.smooth_C = self.smooth_C + _gain(cutoff_C, step) * (frame_C - self.smooth_C)
        return self.smooth_C


def _gain(cutoff: Cutoff, step: float) -> Cutoff:
    ratio = 2 * np.pi * step * cutoff
    return ratio / (ratio + 1)
