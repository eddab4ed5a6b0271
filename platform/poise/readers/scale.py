"""Whether a body is as large as people are, and which unit it is in where it is not."""

import math
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

#: Median distance of a person's outermost joint from the mean of all joints, metres.
PERSON = 0.9
#: A body within this factor of it is a person; small children and long-limbed dancers are.
TOLERANCE = 1.8
#: Whatever the pose and whoever the estimator, one sequence of a person lies within these factors:
#: a newborn at 0.3, a child on the floor at 0.4, somebody tall who jumps at 1.4.
_SMALLEST, _LARGEST = 0.2, 2.2
_NEAR = 1.45
#: Length of units in metres; an inch of CMU's ASF files is 1 / 0.45 of one.
_UNITS = {
    "metres": 1.0,
    "centimetres": 0.01,
    "millimetres": 0.001,
    "inches": 0.0254,
    "feet": 0.3048,
    "decimetres": 0.1,
    "CMU's ASF units": 0.0254 / 0.45,
}
#: Nobody takes one for the other.
_UNHEARD_OF = {
    *((unit, taken_for) for unit in _UNITS for taken_for in ("decimetres", "CMU's ASF units")),
    *(("decimetres", taken_for) for taken_for in _UNITS),
    ("CMU's ASF units", "feet"),
}
#: How the unit is called in a data set's TOML file.
_SHORT = {"metres": "m", "centimetres": "cm", "millimetres": "mm", "inches": "in"}


def reach(poses_FJ3: NDArray[np.floating]) -> float:
    """Return the median distance of a body's outermost joint from the mean of all joints."""
    middle_F13 = poses_FJ3.mean(axis=1, keepdims=True)
    return float(np.median(np.linalg.norm(poses_FJ3 - middle_F13, axis=-1).max(axis=1)))


def wrong_unit(size: float, metres: float | None = None) -> str:
    """Say which unit a body of this size is in by mistake; nothing where it is a person's.

    Args:
        size: its `reach`, which should be metres.
        metres: length of the unit that a data set says its files are in; None: there is no such.
    """
    ratio = size / PERSON
    return "" if 1 / TOLERANCE < ratio < TOLERANCE else _reading(ratio, metres)


def no_person(poses_FJ3: NDArray[np.floating], metres: float | None = None) -> str:
    """Say what is wrong with the size of one sequence's body; nothing where it may be a person.

    Args:
        poses_FJ3: positions that should be metres, without gaps.
        metres: as `wrong_unit`.
    """
    size = reach(poses_FJ3)
    if size == 0 or _SMALLEST < size / PERSON < _LARGEST:
        return ""
    return _said(size, _reading(size / PERSON, metres))


def odd_size(size: float, metres: float | None = None) -> str:
    """Say so where a `reach` is a person's only if the person is very small or large."""
    reading = wrong_unit(size, metres) if size else ""
    return _said(size, reading) if reading else ""


def _said(size: float, reading: str) -> str:
    return f"bodies reach {size:.3g} m from their middle, people {PERSON} m: {reading}"


def _reading(ratio: float, metres: float | None) -> str:
    # What the files are said to be in comes first; then people who scaled them by hand, wrongly.
    named = [name for name, length in _UNITS.items() if length == metres] or ["metres"]
    by_hand = [pair for pair in permutations(_UNITS, 2) if pair not in _UNHEARD_OF]
    for pairs in ([(unit, named[0]) for unit in _UNITS if unit != named[0]], by_hand):
        factors = [_UNITS[unit] / _UNITS[taken_for] for unit, taken_for in pairs]
        offs = [abs(math.log(ratio * factor)) for factor in factors]
        best = min(range(len(pairs)), key=offs.__getitem__)
        if offs[best] < math.log(_NEAR):
            return _advice(*pairs[best], metres)
    return "no unit in use explains this: look at the raw file's own unit"


def _advice(unit: str, taken_for: str, metres: float | None) -> str:
    factor = _UNITS[unit] / _UNITS[taken_for]
    how = f"likely {unit}" + (f" taken for {taken_for}" if taken_for != "metres" else "")
    short = _SHORT.get(unit)
    own = short and _UNITS[taken_for] == metres
    also = f', or say unit = "{short}" in the data set\'s TOML file' if own else ""
    if unit.startswith("CMU"):
        also = ", or use poise mocap"
    return f"{how}: multiply by {factor:.4g}{also}"
