"""When feet stand: one of their joints is slow and low.

Shape letters: F frames, J joints, D dimensions, P joints of a foot that may touch the floor.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import minimum_filter1d

from poise.refining.feet.legs import Leg, leg_length
from poise.refining.grid import Floats, seen
from poise.refining.method import spans

#: Of a leg's length a second: so slow a foot begins to stand, so fast it does no more.
_STANDS: Final = 0.25
_MOVES: Final = 0.4
#: In lengths of a leg: who is so far above the lowest place of both feet, or a joint so far above
#: its own, is in the air. The joints of a foot that stands are not at one height.
_NEAR_FLOOR: Final = 0.12
_LOW: Final = 0.03
#: The floor is looked for over so long: people walk uphill, and cameras are not level.
_AROUND_S: Final = 1.0
#: Speeds are measured over so long.
_SPEED_S: Final = 0.1
#: It stands at least so long.
_SHORTEST_S: Final = 0.1
#: Who slides farther, in lengths of a leg, has walked.
_FARTHEST: Final = 0.08


@dataclass(frozen=True)
class Stand:
    """A time in which a foot stands.

    Attributes:
        leg: whose it is.
        frames: from the first to the last.
        joint_F: the joint that touches the floor in each of the frames.
    """

    leg: Leg
    frames: slice
    joint_F: NDArray[np.int64]


def stands(poses_FJD: Floats, legs: Sequence[Leg], up: str, times_F: Floats) -> list[Stand]:
    """Find when feet stand.

    Args:
        poses_FJD: of one person, smooth; NaN where a joint is not there.
        legs: of the person.
        up: the axis that points up.
        times_F: of the frames, in seconds.
    """
    size = leg_length(poses_FJD, legs)
    if not size > 0 or len(poses_FJD) < 3:
        return []
    step = float(np.median(np.diff(times_F))) or _SPEED_S
    height_FJ = poses_FJD[..., "xyz".index(up[1])] * (1 if up[0] == "+" else -1)
    around = 2 * round(_AROUND_S / step) + 1
    height_FJ = np.where(np.isnan(height_FJ), np.inf, height_FJ)
    lowest_FJ = minimum_filter1d(height_FJ, around, axis=0, mode="nearest")
    floor_F = lowest_FJ[:, [joint for leg in legs for joint in leg.touching]].min(1)
    found = []
    for leg in legs:
        touching = np.array(leg.touching)
        speed_FP = _speeds(poses_FJD[:, touching], times_F, step)
        near_FP = np.minimum(
            lowest_FJ[:, touching] + _LOW * size, floor_F[:, None] + _NEAR_FLOOR * size
        )
        low_FP = np.asarray(height_FJ[:, touching] < near_FP)
        whole_F = seen(poses_FJD[:, [leg.hip, leg.knee, leg.foot[0]]]).all(1)
        known_FP = low_FP & np.asarray(whole_F)[:, None] & ~np.isnan(speed_FP)
        speed_FP = np.where(known_FP, speed_FP, np.inf) / size
        slowest_F, speed_F = touching[speed_FP.argmin(1)], speed_FP.min(1)
        for part in _while_slow(speed_F, times_F):
            for frames in _without_steps(poses_FJD, part, slowest_F, speed_F, times_F, size, up):
                found.append(Stand(leg, frames, slowest_F[frames]))
    return found


def slide(poses_FJD: Floats, found: Sequence[Stand], up: str, times_F: Floats) -> float:
    """Return the mean speed along the floor of feet that stand, a second; NaN where none does."""
    speeds = []
    for one in found:
        way_FD = _along(poses_FJD, one.frames, one.joint_F, up)
        passed_F = np.diff(times_F[one.frames])
        passed_F = np.where(passed_F > 0, passed_F, np.nan)  # of frames that come twice
        speeds.append(np.linalg.norm(way_FD, axis=-1) / passed_F)
    every = np.concatenate(speeds) if speeds else np.zeros(0)
    every = every[np.isfinite(every)]
    return float(every.mean()) if len(every) else float("nan")


def slid(poses_FJD: Floats, frames: slice, joint_F: NDArray[np.int64], up: str) -> Floats:
    """Return how far a foot has slid from the middle of where it was while it stood, (F, D)."""
    way_FD = np.cumsum(np.nan_to_num(_along(poses_FJD, frames, joint_F, up)), axis=0)
    way_FD = np.concatenate([np.zeros_like(way_FD[:1]), way_FD])
    middle_FD: Floats = way_FD - way_FD.mean(0)
    return middle_FD


def _speeds(places_FPD: Floats, times_F: Floats, step: float) -> Floats:
    """Speed of each joint from some frames before to some frames after."""
    frames, reach = len(places_FPD), max(round(_SPEED_S / 2 / step), 1)
    at_F = np.arange(frames)
    before_F, after_F = np.maximum(at_F - reach, 0), np.minimum(at_F + reach, frames - 1)
    passed_F = np.maximum(times_F[after_F] - times_F[before_F], step / 2)
    way_FP = np.linalg.norm(places_FPD[after_F] - places_FPD[before_F], axis=-1)
    speed_FP: Floats = way_FP / passed_F[:, None]
    return speed_FP


def _while_slow(speed_F: Floats, times_F: Floats) -> Iterator[slice]:
    """Yield the times from the first to the last slow frame between two fast ones."""
    for part in spans(speed_F < _MOVES):
        slow = np.flatnonzero(speed_F[part] < _STANDS) + part.start
        if len(slow) and times_F[slow[-1]] - times_F[slow[0]] >= _SHORTEST_S:
            yield slice(int(slow[0]), int(slow[-1]) + 1)


def _without_steps(
    poses_FJD: Floats,
    part: slice,
    joint_F: NDArray[np.int64],
    speed_F: Floats,
    times_F: Floats,
    size: float,
    up: str,
) -> Iterator[slice]:
    """Part a time where the foot moves on, however slowly, at its fastest frame."""
    if part.stop - part.start < 3 or times_F[part.stop - 1] - times_F[part.start] < _SHORTEST_S:
        return
    way_FD = slid(poses_FJD, part, joint_F[part], up)
    if np.linalg.norm(way_FD, axis=-1).max() <= _FARTHEST * size:
        yield part
        return
    fastest = part.start + 1 + int(speed_F[part][1:-1].argmax())
    for half in (slice(part.start, fastest), slice(fastest + 1, part.stop)):
        yield from _without_steps(poses_FJD, half, joint_F, speed_F, times_F, size, up)


def _along(poses_FJD: Floats, frames: slice, joint_F: NDArray[np.int64], up: str) -> Floats:
    """The way along the floor from frame to frame of the joint that touches it, (F - 1, D)."""
    first, last = np.arange(frames.start, frames.stop - 1), np.arange(frames.start + 1, frames.stop)
    way_FD: Floats = poses_FJD[last, joint_F[1:]] - poses_FJD[first, joint_F[1:]]
    way_FD[:, "xyz".index(up[1])] = 0.0
    return way_FD
