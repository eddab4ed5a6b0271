"""Settings that a tuned filter chooses from, on the training subjects held out.

Frequencies are in cycles a frame, widths in frames; where the best is at an end of its row, filters
of that kind want more smoothing, or less, than makes sense.
"""

from collections.abc import Mapping
from itertools import product
from typing import Any

from poise.runtime.errors import PlanError

_SIGMAS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)
#: By refiner: each setting that is tuned, and its values.
GRIDS: dict[str, dict[str, tuple[float, ...]]] = {
    "offset-gaussian": {"sigma": _SIGMAS},
    "oneeuro": {"min_cutoff": (0.005, 0.01, 0.02, 0.04, 0.08), "beta": (0.0, 0.7, 3.0, 10.0)},
    "gaussian1d": {"sigma": _SIGMAS, "block": (0,)},
    "savgol": {"window": (5, 9, 15, 21, 31, 45, 61, 81)},
    "butterworth": {"cutoff": (0.01, 0.02, 0.03, 0.04, 0.06, 0.08, 0.12, 0.18)},
}


def candidates(where: str, name: str, settings: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """Return every combination of a refiner's grid.

    Args:
        where: the refiner's place in the plan, for errors.
        name: the refiner.
        settings: what the plan sets itself.

    Raises:
        PlanError: the refiner has no grid, or the plan sets what is to be tuned.
    """
    if name not in GRIDS:
        raise PlanError(f"{where}.tuned: {name} is not tuned; {', '.join(GRIDS)} are")
    grid = GRIDS[name]
    both = [key for key in grid if key in settings]
    if both:
        raise PlanError(f"{where}.settings: {', '.join(both)} is tuned: leave it out")
    return tuple(dict(zip(grid, values, strict=True)) for values in product(*grid.values()))
