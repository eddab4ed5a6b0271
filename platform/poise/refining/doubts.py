"""What is taken for not seen, though the file has a number there.

Shape letters: F frames, J joints, D dimensions, S frames in which a joint was seen.
"""

from typing import Final

import numpy as np

from poise.motion.motion import Floats as MotionFloats
from poise.refining.grid import Floats, Mask, blocks, seen

#: A joint that jumps off and back within this time did not move.
_LONGEST_S: Final = 0.2
#: How far off it must be at least, as a share of the person's size.
_OFF: Final = 0.12
#: How much longer its way off and back is than any way around it.
_SUDDEN: Final = 3.0
#: Frames around a jump whose steps are looked at.
_AROUND: Final = 4
_MOST_FRAMES: Final = 12
#: As many frames may be lost around it, as a share of those there are.
_LOST: Final = 0.5


def unsure(poses_FJD: Floats, confidence_FJ: MotionFloats | None, least: float) -> Mask:
    """Which joints the estimator saw, and was less sure of."""
    if confidence_FJ is None:
        return np.zeros(poses_FJD.shape[:2], bool)
    return seen(poses_FJD) & (confidence_FJ < least)


def size_of(poses_FJD: Floats) -> float:
    """Return how large a person is: the usual diagonal of a box about all joints; 0 if unseen."""
    diagonals = []
    for part in blocks(len(poses_FJD)):
        part_FJD = poses_FJD[part]
        inside_FJD = part_FJD[~np.isnan(part_FJD).all((1, 2))]
        if len(inside_FJD):
            box_FD = np.nanmax(inside_FJD, 1) - np.nanmin(inside_FJD, 1)
            diagonals.append(np.linalg.norm(box_FD, axis=-1))
    return float(np.median(np.concatenate(diagonals))) if diagonals else 0.0


def jumps(poses_FJD: Floats, times_F: Floats, step: float) -> Mask:
    """Which joints jump off the body and back: far, and as they do not move before and after.

    Args:
        poses_FJD: of one person; NaN where a joint was not seen.
        times_F: of the frames, in seconds.
        step: usual time between them.
    """
    jumped_FJ = np.zeros(poses_FJD.shape[:2], bool)
    size = size_of(poses_FJD)
    if not size:
        return jumped_FJ
    longest = int(np.clip(_LONGEST_S / step, 1, _MOST_FRAMES))
    for joint in range(poses_FJD.shape[1]):
        at_S = np.flatnonzero(seen(poses_FJD[:, joint]))
        for length in range(1, longest + 1):
            kept_S = at_S[~jumped_FJ[at_S, joint]]
            if len(kept_S) >= length + 2:
                off_S = _off(poses_FJD[kept_S, joint], length, size)
                jumped_FJ[kept_S[off_S & _close(times_F[kept_S], length, step)], joint] = True
    return jumped_FJ


def _close(times_S: Floats, length: int, step: float) -> Mask:
    """Which of a joint's places have others soon before and after a run that they may be in."""
    reach = (length + 1) * (1 + _LOST) * step
    close_S = np.zeros(len(times_S), bool)
    near = times_S[length + 1 :] - times_S[: -length - 1] <= reach
    for at in range(1, length + 1):
        close_S[at : at + len(near)] |= near
    return close_S


def _off(places_SD: Floats, length: int, size: float) -> Mask:
    """Which of a joint's places are in a run of a length that is off."""
    step_S = np.linalg.norm(np.diff(places_SD, axis=0), axis=-1)
    before, after = places_SD[: -length - 1], places_SD[length + 1 :]
    runs = len(before)
    way = np.minimum(step_S[:runs], step_S[length:])
    apart = np.linalg.norm(after - before, axis=-1)
    nearest = np.full(runs, np.inf)
    for at in range(1, length + 1):
        straight = before + (after - before) * (at / (length + 1))
        off = np.linalg.norm(places_SD[at : at + runs] - straight, axis=-1)
        nearest = np.minimum(nearest, off)
    usual = np.maximum(_around(step_S, runs, length), apart / (length + 1))
    found = (nearest > _OFF * size) & (way > _SUDDEN * usual)
    off_S = np.zeros(len(places_SD), bool)
    for at in range(1, length + 1):
        off_S[at : at + runs] |= found
    return off_S


def _around(step_S: Floats, runs: int, length: int) -> Floats:
    """The longest of the steps before and after each run."""
    longest = np.zeros(runs)
    for back in range(1, _AROUND + 1):
        behind = step_S[: max(runs - back, 0)]
        longest[runs - len(behind) :] = np.maximum(longest[runs - len(behind) :], behind)
        ahead = step_S[length + back :][:runs]
        longest[: len(ahead)] = np.maximum(longest[: len(ahead)], ahead)
    return longest
