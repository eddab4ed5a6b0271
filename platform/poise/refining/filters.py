"""Filters on an even grid, all set by the one figure that analysts know: the cutoff.

At the cutoff half of an oscillation is left, whichever filter it is (the median and One-Euro are
not linear: there it is about where they begin to act). Shape letters: G points, X any channels.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np
from scipy.linalg import solveh_banded
from scipy.ndimage import gaussian_filter1d, median_filter

from poise.refining.grid import Floats
from poise_models.filters.even import Calmed, low_pass, savgol

#: A filter: values and the cutoff in cycles a point in, values out.
Filter = Callable[[Floats, float], Floats]
#: Of one pass of Butterworth's.
_ORDER: Final = 4
#: Degree of Savitzky-Golay's polynomials.
_DEGREE: Final = 3
#: What One-Euro's cutoff rises by, in cycles a point, for each metre a point.
_BETA: Final = 0.7


def filter_called(name: str) -> Filter:
    """Return one of `poise.refining.options.FILTERS`."""
    return _FILTERS[name]


def _butterworth(values_GX: Floats, cutoff: float) -> Floats:
    return low_pass(values_GX, cutoff, _ORDER)


def _gaussian(values_GX: Floats, cutoff: float) -> Floats:
    sigma = float(np.sqrt(2 * np.log(2)) / (2 * np.pi * cutoff))
    found: Floats = gaussian_filter1d(values_GX, sigma, axis=0, mode="reflect")
    return found


def _savgol(values_GX: Floats, cutoff: float) -> Floats:
    # Schafer's rule for where a polynomial of a degree over 2 M + 1 points lets half the power by.
    half = max(round(((_DEGREE + 1) / (2 * cutoff) + 4.6) / 3.2), _DEGREE // 2 + 1)
    return savgol(values_GX, 2 * half + 1, _DEGREE).astype(np.float64)


def _one_euro(values_GX: Floats, cutoff: float) -> Floats:
    """There and back, each of which lags as much as the other leads."""
    there, back = (Calmed(cutoff, _BETA, 1.0) for _ in range(2))
    both_GX = np.empty_like(values_GX)
    for point, values_X in enumerate(values_GX):
        both_GX[point] = there.after(values_X, 1.0)
    for point in reversed(range(len(values_GX))):
        both_GX[point] += back.after(values_GX[point], 1.0)
    both_GX /= 2
    return both_GX


def _median(values_GX: Floats, cutoff: float) -> Floats:
    width = 2 * max(round(0.25 / cutoff), 1) + 1
    found: Floats = median_filter(values_GX, (width, 1), mode="nearest")
    return found


def _stiff(order: int, values_GX: Floats, cutoff: float) -> Floats:
    """The smoothest motion near the values, where what is not smooth is a difference of an order.

    Order 2 is the cubic smoothing spline; 3 is what a Kalman filter of constant acceleration has
    found when it has run forward and back (Rauch, Tung and Striebel).
    """
    points = len(values_GX)
    if points <= order:
        return values_GX
    weight = (2 * np.sin(np.pi * min(cutoff, 0.5))) ** (-2 * order)
    kernel = np.array([1.0])
    for _ in range(order):
        kernel = np.convolve(kernel, [1.0, -1.0])
    bands = np.zeros((order + 1, points))
    for apart in range(order + 1):
        for at in range(order + 1 - apart):
            product = kernel[at] * kernel[at + apart]
            bands[order - apart, at + apart : points - order + at + apart] += product
    bands *= weight
    bands[order] += 1.0
    found: Floats = solveh_banded(bands, values_GX)
    return found


_FILTERS: Final[dict[str, Filter]] = {
    "butterworth": _butterworth,
    "savgol": _savgol,
    "oneeuro": _one_euro,
    "gaussian1d": _gaussian,
    "median": _median,
    "spline": partial(_stiff, 2),
    "kalman": partial(_stiff, 3),
}
