"""Who each person of a frame is, by where people are expected: from what came before alone.

Shape letters: J joints, D dimensions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.optimize import linear_sum_assignment

from poise.refining.doubts import size_of
from poise.refining.grid import Floats

#: A person may be off where they are expected by this share of their size, more as time passes.
REACH: Final = 0.3
_REACH_PER_S: Final = 0.7
_MOST_REACH: Final = 1.0
#: Who was away for longer comes back as somebody else.
AWAY_S: Final = 2.0
#: They are expected to go on as they went for so long.
_GO_ON_S: Final = 0.3
#: What a new step counts for in a person's speed.
_NEW: Final = 0.5


class Follower:
    """Follows people frame by frame; what it remembers does not grow with time.

    Args:
        most: people that are known at a time; those who were seen last.

    Attributes:
        people: there have been so far.
    """

    def __init__(self, most: int | None = None) -> None:
        self.people = 0
        self._most = most
        self._near: list[_Person] = []

    def follow(self, poses: Sequence[Floats], now_s: float) -> list[int]:
        """Say who each pose (J, D) of a frame is, NaN where a joint was not seen.

        Args:
            poses: of different people, each with a joint that was seen.
            now_s: seconds, not before those of the last frame.

        Returns:
            Numbers from 0, of everybody the same as long as they are not away for long.
        """
        self._near = [one for one in self._near if now_s - one.seen_s <= AWAY_S]
        taken = _taken(self._near, poses, now_s)
        found: list[int] = []
        for place, pose_JD in enumerate(poses):
            person = taken.get(place)
            if person is None:
                size = size_of(pose_JD[None]) or 1.0
                still_D = np.zeros(pose_JD.shape[-1])
                person = _Person(self.people, pose_JD.copy(), now_s, size, still_D)
                self.people += 1
                self._near.append(person)
            person.at(pose_JD, now_s)
            found.append(person.number)
        if self._most is not None and len(self._near) > self._most:
            self._near = sorted(self._near, key=lambda one: one.seen_s)[-self._most :]
        return found


@dataclass
class _Person:
    """Somebody who is followed."""

    number: int
    last_JD: Floats
    seen_s: float
    size: float
    speed_D: Floats

    def expected_JD(self, now_s: float) -> Floats:
        away = min(now_s - self.seen_s, _GO_ON_S)
        place_JD: Floats = self.last_JD + self.speed_D * away
        return place_JD

    def reach(self, now_s: float) -> float:
        """How far off they may be, in their size."""
        return min(REACH + _REACH_PER_S * (now_s - self.seen_s), _MOST_REACH)

    def at(self, pose_JD: Floats, now_s: float) -> None:
        passed = now_s - self.seen_s
        step_D = np.nan_to_num(np.nanmedian(pose_JD - self.last_JD, 0)) if passed > 0 else 0.0
        if passed > 0:
            self.speed_D = self.speed_D + _NEW * (step_D / passed - self.speed_D)
        self.last_JD = np.where(np.isnan(pose_JD), self.last_JD, pose_JD)
        self.seen_s = now_s
        self.size = max(0.98 * self.size, size_of(pose_JD[None]))


def _taken(near: Sequence[_Person], poses: Sequence[Floats], now_s: float) -> dict[int, _Person]:
    """Say which of the people that are followed each pose of a frame is."""
    if not near or not poses:
        return {}
    cost = _apart(near, np.stack(poses), now_s)
    far = 10.0 * _MOST_REACH * max(cost.shape)
    rows, columns = linear_sum_assignment(np.where(np.isinf(cost), far, cost))
    return {
        int(column): near[int(row)]
        for row, column in zip(rows, columns, strict=True)
        if np.isfinite(cost[row, column])
    }


def _apart(near: Sequence[_Person], poses_PJD: Floats, now_s: float) -> Floats:
    """How far poses are from where people are expected, in their size; infinite if too far."""
    expected_QJD = np.stack([one.expected_JD(now_s) for one in near])
    sizes_Q1 = np.array([[one.size] for one in near])
    reach_Q1 = np.array([[one.reach(now_s)] for one in near])
    apart_QPJ = np.linalg.norm(poses_PJD - expected_QJD[:, None], axis=-1)
    off_QP = np.full(apart_QPJ.shape[:2], np.inf)
    known_QP = ~np.isnan(apart_QPJ).all(-1)
    if known_QP.any():
        off_QP[known_QP] = np.nanmedian(apart_QPJ[known_QP], axis=-1)
    off_QP /= sizes_Q1
    off_QP[off_QP > reach_Q1] = np.inf
    return off_QP
