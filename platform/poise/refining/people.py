"""Who is who: people followed from frame to frame, and those who were there for a moment left out.

Shape letters: F frames, P places of people in a frame, Q people, J joints, D dimensions.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from poise.motion.motion import Floats as MotionFloats
from poise.motion.motion import Motion
from poise.refining.doubts import size_of
from poise.refining.following import REACH, Follower
from poise.refining.grid import Floats, seen

Places = NDArray[np.int64]
#: Where so many of all entries would be left out it is no video of people.
_MOST_GHOSTS: Final = 0.1
#: Two people were exchanged where that is so much the shorter way.
_SHORTER: Final = 0.3


@dataclass(frozen=True)
class Told:
    """Motion whose people are who they are.

    Attributes:
        motion: with people followed.
        tracked: whether they were followed here; else the file said who they are.
        ghosts: who was left out, as (frame number, place in the frame or id).
        exchanged: frame numbers in which two people had each other's place, with their ids.
        note: what could not be done.
    """

    motion: Motion
    tracked: bool = False
    ghosts: tuple[tuple[int, str], ...] = ()
    exchanged: tuple[tuple[int, str, str], ...] = ()
    note: str = ""


def told_apart(motion: Motion, times_F: Floats, track: bool | None) -> Told:
    """Find out who is who.

    Args:
        motion: of any people.
        times_F: of its frames, in seconds.
        track: follow people, whatever the file says, or not; None follows them where the file does
            not say who they are.
    """
    if track is False or not motion.people:
        return Told(motion)
    follow = track or not motion.identified
    if follow and len(motion.people) > 1:
        places_FQ = _followed(motion.poses_FPJD, times_F)
    else:
        places_FQ = np.where(motion.seen_FPJ.any(-1), np.arange(len(motion.people)), -1)
    exchanged: list[tuple[int, int, int]] = []
    if len(motion.people) > 1 and not follow:
        places_FQ, exchanged = _unexchanged(motion.poses_FPJD, places_FQ)
    places_FQ, names, ghosts, note = _without_ghosts(motion, places_FQ, follow)
    if not ghosts and not exchanged and not (follow and len(motion.people) > 1):
        return Told(motion, note=note)
    found = tuple(
        (int(motion.frames_F[frame]), motion.people[one], motion.people[other])
        for frame, one, other in exchanged
    )
    return Told(motion.with_people(places_FQ, names), follow, tuple(ghosts), found, note)


def _followed(poses_FPJD: MotionFloats, times_F: Floats) -> Places:
    """Follow people by where they are expected; for each frame and person the place, or -1."""
    follower = Follower()
    poses_FPJD = poses_FPJD.astype(np.float64)
    there_FP = np.asarray(seen(poses_FPJD).any(-1))
    found: list[tuple[int, int, int]] = []
    for frame, now_s in enumerate(times_F.tolist()):
        places = np.flatnonzero(there_FP[frame]).tolist()
        who = follower.follow([poses_FPJD[frame, place] for place in places], now_s)
        found += [(frame, one, place) for one, place in zip(who, places, strict=True)]
    places_FQ = np.full((len(times_F), follower.people), -1)
    for frame, one, place in found:
        places_FQ[frame, one] = place
    return places_FQ


def _unexchanged(
    poses_FPJD: MotionFloats, places_FP: Places
) -> tuple[Places, list[tuple[int, int, int]]]:
    """Undo exchanges of people who are at each other's place from one frame to the next."""
    places_FP, found = places_FP.copy(), []
    poses_FPJD = poses_FPJD.astype(np.float64)
    sizes = [size_of(poses_FPJD[:, person]) for person in range(poses_FPJD.shape[1])]
    for one in range(len(sizes)):
        for other in range(one + 1, len(sizes)):
            stayed_F, crossed_F = _ways(poses_FPJD[:, one], poses_FPJD[:, other])
            far_F = stayed_F > REACH * (sizes[one] + sizes[other])
            for frame in np.flatnonzero(far_F & (crossed_F < _SHORTER * stayed_F)) + 1:
                later = places_FP[frame:]
                later[:, [one, other]] = later[:, [other, one]]
                found.append((int(frame), one, other))
    return places_FP, found


def _ways(one_FJD: Floats, other_FJD: Floats) -> tuple[Floats, Floats]:
    """How far two people are from where they were a frame before, and from where the other was."""

    def way(from_FJD: Floats, to_FJD: Floats) -> Floats:
        apart_FJ = np.linalg.norm(to_FJD[1:] - from_FJD[:-1], axis=-1)
        count_F = (~np.isnan(apart_FJ)).sum(1)
        mean_F: Floats = np.nansum(apart_FJ, 1) / np.where(count_F, count_F, np.nan)
        return mean_F

    stayed_F = way(one_FJD, one_FJD) + way(other_FJD, other_FJD)
    return stayed_F, way(one_FJD, other_FJD) + way(other_FJD, one_FJD)


def _without_ghosts(
    motion: Motion, places_FQ: Places, follow: bool
) -> tuple[Places, tuple[str, ...], list[tuple[int, str]], str]:
    """Leave out who was there in one frame, unless most of a file is like that."""
    there_FQ = places_FQ >= 0
    names = tuple(map(str, range(places_FQ.shape[1]))) if follow else motion.people
    ghost_Q = there_FQ.sum(0) == 1
    if len(motion) < 3 or not ghost_Q.any():
        return places_FQ, names, [], ""
    if ghost_Q.sum() > _MOST_GHOSTS * there_FQ.sum():
        note = f"{int(ghost_Q.sum())} people are there in one frame only: is this one recording?"
        return places_FQ, names, [], note
    ghosts = [
        (int(motion.frames_F[frame]), motion.people[places_FQ[frame, who]])
        for who in np.flatnonzero(ghost_Q)
        for frame in np.flatnonzero(there_FQ[:, who])
    ]
    kept = [name for name, ghost in zip(names, ghost_Q, strict=True) if not ghost]
    if follow:
        kept = list(map(str, range(len(kept))))
    return places_FQ[:, ~ghost_Q], tuple(kept), ghosts, ""
