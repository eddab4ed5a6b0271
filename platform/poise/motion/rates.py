"""Frame rates from times."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

#: A rate so near to a whole one is that one: times have few digits.
_NEAR: Final = 2e-4


def rate_of(
    times_F: NDArray[np.float64], numbers_F: NDArray[np.int64] | None = None
) -> float | None:
    """Return frames a second: of most steps where they are uneven; None where nothing moves on.

    Args:
        times_F: seconds.
        numbers_F: of the frames, where some may be left out.
    """
    steps = np.diff(times_F)
    if numbers_F is not None and (np.diff(numbers_F) > 0).all():
        steps = steps / np.diff(numbers_F)
    steps = steps[steps > 0]
    if not len(steps):
        return None
    usual = float(np.median(steps))
    # Single steps are as coarse as the times' digits; the mean of the usual ones is not.
    step = float(steps[np.abs(steps - usual) <= 0.5 * usual].mean())
    return tidy_rate(1.0 / step) if step > 0 and np.isfinite(1.0 / step) else None


def tidy_rate(fps: float) -> float:
    """Return the whole rate that one is very near to, else the rate itself."""
    whole = round(fps)
    return float(whole) if whole and abs(fps - whole) <= _NEAR * whole else fps
