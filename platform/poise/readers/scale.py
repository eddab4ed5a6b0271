"""Whether a body is as large as people are, and which unit it is in where it is not."""

import numpy as np
from numpy.typing import NDArray

#: Median distance of a person's outermost joint from the mean of all joints, metres.
PERSON = 0.9
#: A body within this factor of it is a person; small children and long-limbed dancers are.
TOLERANCE = 1.8
#: Whatever the pose and whoever the estimator, one sequence of a person lies within these factors.
_SMALLEST, _LARGEST = 0.05, 2.4
_NEAR = 1.35
#: How much too large a person is, and the likely reason.
_UNITS = (
    (1000.0, 'millimetres: multiply by 0.001, or say unit = "mm" in the data set\'s TOML file'),
    (100.0, 'centimetres: multiply by 0.01, or say unit = "cm" in the data set\'s TOML file'),
    (39.37, 'inches: multiply by 0.0254, or say unit = "in" in the data set\'s TOML file'),
    (17.72, "CMU's ASF units: multiply by 0.0254 / 0.45, or use poise convert"),
    (10.0, "decimetres: multiply by 0.1"),
    (3.281, "feet: multiply by 0.3048"),
    (0.4500, "CMU's ASF units read as inches: divide by 0.45, or use poise convert"),
    (0.1772, "CMU's ASF units read as centimetres: multiply by 5.644, or use poise convert"),
    (0.1, 'centimetres that were taken for millimetres: multiply by 10, or say unit = "cm"'),
    (0.0254, 'inches that were taken for millimetres: multiply by 25.4, or say unit = "in"'),
    (0.01, 'metres that were taken for centimetres: multiply by 100, or say unit = "m"'),
    (0.001, 'metres that were taken for millimetres: multiply by 1000, or say unit = "m"'),
)


def wrong_unit(size: float) -> str:
    """Say which unit a body of this size is in by mistake; nothing where it is a person's.

    Args:
        size: distance of its outermost joint from the mean of all joints, which should be metres.
    """
    ratio = size / PERSON
    if 1 / TOLERANCE < ratio < TOLERANCE:
        return ""
    for factor, reading in _UNITS:
        if factor / _NEAR < ratio < factor * _NEAR:
            return reading
    return "no unit in use explains this: look at the raw file's own unit"


def no_person(poses_FJ3: NDArray[np.floating]) -> str:
    """Say what is wrong with the size of one sequence's body; nothing where it may be a person.

    Args:
        poses_FJ3: positions that should be metres, without gaps.
    """
    middle_F13 = poses_FJ3.mean(axis=1, keepdims=True)
    reach_F = np.linalg.norm(poses_FJ3 - middle_F13, axis=-1).max(axis=1)
    size = float(np.median(reach_F))
    if size == 0 or _SMALLEST < size / PERSON < _LARGEST:
        return ""
    return f"bodies reach {size:.3g} m from their middle, people {PERSON} m: likely " + wrong_unit(
        size
    )
