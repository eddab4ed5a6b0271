"""A pose estimator's errors on true poses: miss, swap, inversion, jitter, and a fixed bias.

Body order ``h36m17``, metres; z is the depth, where monocular estimators err most.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

_R_LEG, _L_LEG, _L_ARM, _R_ARM = (1, 2, 3), (4, 5, 6), (11, 12, 13), (14, 15, 16)
_LIMBS: Final = (_R_LEG, _L_LEG, _L_ARM, _R_ARM)
_PAIRS: Final = ((_R_LEG, _L_LEG), (_R_ARM, _L_ARM))
#: Errors grow from the trunk outwards; the root is the origin and has none.
_LEG_REACH, _TRUNK_REACH, _ARM_REACH = [0.4, 0.9, 1.3], [0.5, 0.5, 0.7, 0.8], [0.6, 1.1, 1.6]
_REACH_J: Final = np.array([0.0] + 2 * _LEG_REACH + _TRUNK_REACH + 2 * _ARM_REACH)
_DEPTH_D: Final = np.array([1.0, 1.0, 1.7])

_BIAS_M: Final = 0.024
_WHITE_M: Final = 0.0025
_SLOW_M: Final = 0.018
_SLOW_MEMORY: Final = 0.97
_MISSES_PER_LIMB_FRAME: Final = 0.008
_SWAPS_PER_PAIR_FRAME: Final = 0.002
_FLIPS_PER_LIMB_FRAME: Final = 0.003


def bias(draw: np.random.Generator) -> NDArray[np.float64]:
    """Draw an estimator's constant error of each joint.

    Returns:
        (J, 3) metres.
    """
    return _BIAS_M * draw.standard_normal((len(_REACH_J), 3)) * (_REACH_J[:, None] > 0)


def detect(
    truth_FJ3: NDArray[np.float64], bias_J3: NDArray[np.float64], draw: np.random.Generator
) -> NDArray[np.float64]:
    """Return the estimator's output for a sequence, (F, J, 3) metres, root at zero."""
    detected_FJ3 = truth_FJ3.copy()
    _swap(detected_FJ3, draw)
    _invert(detected_FJ3, draw)
    _miss(detected_FJ3, draw)
    size_J3 = _REACH_J[:, None] * _DEPTH_D
    detected_FJ3 += bias_J3 + size_J3 * _jitter(len(truth_FJ3), draw)
    return detected_FJ3


def _spells(
    frames: int, rate: float, shortest: int, longest: int, draw: np.random.Generator
) -> list[tuple[int, int]]:
    """Spans [start, stop) of an error that begins with the given chance in every frame."""
    starts = np.flatnonzero(draw.random(frames) < rate)
    stops = np.minimum(starts + draw.integers(shortest, longest + 1, len(starts)), frames)
    return list(zip(starts.tolist(), stops.tolist(), strict=True))


def _swap(poses_FJ3: NDArray[np.float64], draw: np.random.Generator) -> None:
    for right, left in _PAIRS:
        swapped = [*left, *right]
        for start, stop in _spells(len(poses_FJ3), _SWAPS_PER_PAIR_FRAME, 2, 8, draw):
            poses_FJ3[start:stop, [*right, *left]] = poses_FJ3[start:stop, swapped]


def _invert(poses_FJ3: NDArray[np.float64], draw: np.random.Generator) -> None:
    for base, *rest in _LIMBS:
        for start, stop in _spells(len(poses_FJ3), _FLIPS_PER_LIMB_FRAME, 3, 10, draw):
            depth = poses_FJ3[start:stop, base, 2][:, None]
            poses_FJ3[start:stop, rest, 2] = 2 * depth - poses_FJ3[start:stop, rest, 2]


def _miss(poses_FJ3: NDArray[np.float64], draw: np.random.Generator) -> None:
    """Freeze the outer joints of a limb, or put them somewhere else, for a few frames."""
    for _, middle, end in _LIMBS:
        for start, stop in _spells(len(poses_FJ3), _MISSES_PER_LIMB_FRAME, 3, 12, draw):
            lost = [middle, end] if draw.random() < 0.4 else [end]
            away_J3 = 0.12 * draw.standard_normal((len(lost), 3)) * (draw.random() < 0.5)
            poses_FJ3[start:stop, lost] = poses_FJ3[start, lost] + away_J3


def _jitter(frames: int, draw: np.random.Generator) -> NDArray[np.float64]:
    shape = (frames, len(_REACH_J), 3)
    kick = draw.standard_normal(shape) * np.sqrt(1.0 - _SLOW_MEMORY**2)
    # Start in the steady state, or the first second of every sequence would be too good.
    kick[0] /= np.sqrt(1.0 - _SLOW_MEMORY**2)
    slow = lfilter([1.0], [1.0, -_SLOW_MEMORY], kick, axis=0)
    return _SLOW_M * slow + _WHITE_M * draw.standard_normal(shape)
