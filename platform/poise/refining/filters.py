"""Filters on an even grid, all set by the one figure that analysts know: the cutoff.

At the cutoff half of an oscillation is left, whichever filter it is (the median and One-Euro are
not linear: there it is about where they begin to act). Shape letters: G points, X any channels.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np
import torch
from scipy.linalg import solveh_banded
from scipy.ndimage import median_filter

from poise.refining.grid import Floats
from poise_models.base.pose_spec import PoseSpec
from poise_models.base.refiner import SequenceRefiner
from poise_models.filters.butterworth import Butterworth, ButterworthConfig
from poise_models.filters.gaussian import Gaussian1d, Gaussian1dConfig
from poise_models.filters.one_euro import OneEuro, OneEuroConfig
from poise_models.filters.savitzky_golay import SavitzkyGolay, SavitzkyGolayConfig

#: A filter: values and the cutoff in cycles a point in, values out.
Filter = Callable[[Floats, float], Floats]
#: Degree of Savitzky-Golay's polynomials.
_DEGREE: Final = 3


def filter_called(name: str) -> Filter:
    """Return one of `poise.refining.options.FILTERS`."""
    return _FILTERS[name]


def _run(refiner: SequenceRefiner, values_GX: Floats) -> Floats:
    smooth_GX: Floats = refiner.filter(torch.from_numpy(values_GX)).double().numpy()
    return smooth_GX


def _spec(values_GX: Floats) -> PoseSpec:
    return PoseSpec(values_GX.shape[1], 1, centre=False)


def _butterworth(values_GX: Floats, cutoff: float) -> Floats:
    return _run(Butterworth(_spec(values_GX), ButterworthConfig(cutoff)), values_GX)


def _gaussian(values_GX: Floats, cutoff: float) -> Floats:
    sigma = float(np.sqrt(2 * np.log(2)) / (2 * np.pi * cutoff))
    return _run(Gaussian1d(_spec(values_GX), Gaussian1dConfig(sigma, block=0)), values_GX)


def _savgol(values_GX: Floats, cutoff: float) -> Floats:
    # Schafer's rule for where a polynomial of a degree over 2 M + 1 points lets half the power by.
    half = max(round(((_DEGREE + 1) / (2 * cutoff) + 4.6) / 3.2), _DEGREE // 2 + 1)
    config = SavitzkyGolayConfig(2 * half + 1, _DEGREE)
    return _run(SavitzkyGolay(_spec(values_GX), config), values_GX)


def _one_euro(values_GX: Floats, cutoff: float) -> Floats:
    """There and back, each of which lags as much as the other leads."""
    refiner = OneEuro(_spec(values_GX), OneEuroConfig(cutoff))
    back_GX = _run(refiner, values_GX[::-1].copy())[::-1]
    return (_run(refiner, values_GX) + back_GX) / 2


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
