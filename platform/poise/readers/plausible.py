"""Whether the bodies of a split are people's, and turned as their truth is.

What one sequence alone cannot tell: a child is as large as an adult in another unit.
"""

from dataclasses import dataclass
from functools import cache
from itertools import permutations, product

import numpy as np
from numpy.typing import NDArray

from poise.catalog.tracks import TrackInfo
from poise.readers.scale import odd_size, reach

#: Axes are in another order where that leaves less than this share of the error.
_LEFT = 0.5
#: Smaller errors, as a share of a body's reach, are an estimator's.
_LARGE = 0.3
#: Frames of a sequence that are compared.
_FRAMES = 64


@dataclass(frozen=True)
class Looks:
    """What counts of one sequence.

    Attributes:
        detected: reach of its body; so is ``truth``.
        errors: mean distance of detections from truth, with the axes turned every way.
    """

    detected: float
    truth: float | None = None
    errors: tuple[float, ...] = ()


def look(
    detected_FC: NDArray[np.float32], truth_FC: NDArray[np.float32] | None, info: TrackInfo
) -> Looks | None:
    """Look at a sequence, both without gaps; None where its joints have no positions."""
    if info.dims not in (2, 3):
        return None
    step = max(len(detected_FC) // _FRAMES, 1)
    shape = (-1, info.joints, info.dims)
    detected_FJD = detected_FC[::step].reshape(shape)
    if truth_FC is None:
        return Looks(reach(detected_FJD))
    truth_FJD = truth_FC[::step].reshape(shape)
    ours_FJD, theirs_FJD = (
        poses - poses.mean(axis=1, keepdims=True) for poses in (detected_FJD, truth_FJD)
    )
    errors = tuple(
        float(np.linalg.norm(ours_FJD @ turn_DD.T - theirs_FJD, axis=-1).mean())
        for turn_DD in _turns(info.dims)
    )
    return Looks(reach(detected_FJD), reach(truth_FJD), errors)


class Bodies:
    """The bodies of a split, sequence by sequence, and what there is to say of all of them."""

    def __init__(self, info: TrackInfo) -> None:
        """Begin with no sequence of a track."""
        self._info = info
        self._reaches: dict[str, list[float]] = {"detected": [], "truth": []}
        self._errors_T = np.zeros(len(_turns(info.dims)) if info.dims in (2, 3) else 0)

    def add(self, detected_FC: NDArray[np.float32], truth_FC: NDArray[np.float32] | None) -> None:
        """Look at a sequence; both without gaps."""
        self.count(look(detected_FC, truth_FC, self._info))

    def count(self, looks: Looks | None) -> None:
        """Take in what counts of a sequence; in the same order for the same words."""
        if looks is None:
            return
        self._reaches["detected"].append(looks.detected)
        if looks.truth is not None:
            self._reaches["truth"].append(looks.truth)
            self._errors_T += looks.errors

    def notes(self) -> list[str]:
        """Say what is odd about them, a line each."""
        return [*self._sizes(), *self._axes()]

    def _sizes(self) -> list[str]:
        if self._info.dims != 3:
            return []
        found = {
            pose: odd_size(float(np.median(some)), self._info.metres)
            for pose, some in self._reaches.items()
            if some
        }
        return [f"{pose} poses: {said}" for pose, said in found.items() if said]

    def _axes(self) -> list[str]:
        if not self._reaches["truth"]:
            return []
        as_is, best = self._errors_T[0], int(self._errors_T.argmin())
        if as_is < _LARGE * sum(self._reaches["truth"]) or self._errors_T[best] > _LEFT * as_is:
            return []
        order = ", ".join(_axis(row_D) for row_D in _turns(self._info.dims)[best])
        share = self._errors_T[best] / as_is
        return [
            f"detected poses have other axes than truth: with ({order}) in place of "
            f"({', '.join('xyz'[: self._info.dims])}) {share:.0%} of the error is left "
            "(z up against y up?): write one of the files again"
        ]


@cache
def _turns(dims: int) -> NDArray[np.float32]:
    """Return all ways to name and to point the axes, (T, D, D); the first one as they are."""
    eye_DD = np.eye(dims, dtype=np.float32)
    return np.stack(
        [
            np.array(signs, np.float32)[:, None] * eye_DD[list(order)]
            for order in permutations(range(dims))
            for signs in product((1, -1), repeat=dims)
        ]
    )


def _axis(row_D: NDArray[np.float32]) -> str:
    axis = int(np.abs(row_D).argmax())
    return f"{'-' if row_D[axis] < 0 else ''}{'xyz'[axis]}"
