"""Left and right that an estimator mixed up for a while.

Shape letters: F frames, J joints, D dimensions, N pairs of a limb.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from poise.catalog.joint_sets import plain_joints
from poise.refining.doubts import size_of
from poise.refining.grid import Floats, Mask, blocks

#: Words of joints, limb by limb; those of a limb change sides together.
_LIMBS: Final = {
    "legs": ("hip", "knee", "ankle", "heel", "big_toe", "small_toe", "foot", "foot_index"),
    "arms": ("shoulder", "elbow", "wrist", "hand"),
}
#: Sides that are mixed up longer than this are left alone: which of them is right is a guess.
_LONGEST_S: Final = 1.0
#: Sides change where that is so much the shorter way for a limb's joints.
_SHORTER: Final = 0.5
#: How far apart the two sides must be, as a share of the person's size, to be told apart.
_APART: Final = 0.08


@dataclass(frozen=True)
class Swap:
    """A limb whose sides were mixed up, in frames ``first`` up to but not including ``end``."""

    limb: str
    first: int
    end: int


def limbs(joints: Sequence[str]) -> dict[str, list[tuple[int, int]]]:
    """Return the pairs of places that are left and right of the same, limb by limb."""
    plain = plain_joints(joints)
    found = {}
    for limb, words in _LIMBS.items():
        pairs = [
            (plain.index(f"left_{word}"), plain.index(f"right_{word}"))
            for word in words
            if f"left_{word}" in plain and f"right_{word}" in plain
        ]
        if pairs:
            found[limb] = pairs
    return found


def mend(poses_FJD: Floats, joints: Sequence[str], times_F: Floats) -> tuple[Swap, ...]:
    """Put sides right, in place, that were mixed up for a while, where there is no doubt of it.

    A limb jumps to the other side's place in one frame, and back in a later one.
    """
    swaps: list[Swap] = []
    size = size_of(poses_FJD)
    if not size:
        return ()
    for limb, pairs in limbs(joints).items():
        left, right = (list(side) for side in zip(*pairs, strict=True))
        changed = _changes(poses_FJD, left, right, size)
        place = 0
        while place + 1 < len(changed):
            first, end = int(changed[place]), int(changed[place + 1])
            if times_F[end] - times_F[first] > _LONGEST_S:
                place += 1
                continue
            here = slice(first, end)
            poses_FJD[here, left + right] = poses_FJD[here, right + left]
            swaps.append(Swap(limb, first, end))
            place += 2
    return tuple(swaps)


def swapped_in(before_FJD: Floats, after_FJD: Floats, joints: Sequence[str]) -> dict[str, Mask]:
    """Say limb by limb in which frames refined sides are nearer to the input's other sides."""
    found = {}
    for limb, pairs in limbs(joints).items():
        left, right = (list(side) for side in zip(*pairs, strict=True))
        found[limb] = np.zeros(len(before_FJD), bool)
        for part in blocks(len(before_FJD)):
            before_BJD, after_BJD = before_FJD[part], after_FJD[part]
            stayed, crossed = _ways(
                (before_BJD[:, left], before_BJD[:, right]),
                (after_BJD[:, left], after_BJD[:, right]),
            )
            found[limb][part] = (crossed < stayed) & (stayed > 0)
    return found


def _changes(
    poses_FJD: Floats, left: list[int], right: list[int], size: float
) -> NDArray[np.int64]:
    """Frames in which a limb's sides are exchanged against the frame before."""
    found = [
        part.start + _changes_within(poses_FJD[part][:, left], poses_FJD[part][:, right], size)
        for part in blocks(len(poses_FJD), before=1)
    ]
    return np.concatenate([np.zeros(0, np.int64), *found])


def _changes_within(left_FND: Floats, right_FND: Floats, size: float) -> NDArray[np.int64]:
    stayed_F, crossed_F = _ways((left_FND[:-1], right_FND[:-1]), (left_FND[1:], right_FND[1:]))
    apart_FN = np.linalg.norm(left_FND - right_FND, axis=-1)
    count_F = np.maximum((~np.isnan(apart_FN)).sum(1), 1)
    apart_F = np.nansum(apart_FN, 1) / count_F
    told_F = np.minimum(apart_F[:-1], apart_F[1:]) > _APART * size
    return np.flatnonzero(told_F & (crossed_F < _SHORTER * stayed_F)) + 1


def _ways(one: tuple[Floats, Floats], other: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    """How far two sides are from two others, as they stand and exchanged, over joints in all."""
    stayed_FN = sum(np.linalg.norm(a - b, axis=-1) for a, b in zip(one, other, strict=True))
    crossed_FN = sum(np.linalg.norm(a - b, axis=-1) for a, b in zip(one, other[::-1], strict=True))
    return np.nansum(stayed_FN, 1), np.nansum(crossed_FN, 1)
