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

    Attributes:
        people: there have been so far.
    """

    def __init__(self) -> None:
        self.people = 0
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

    def off(self, pose_JD: Floats, now_s: float) -> float:
        """How far a pose is from where this person is expected, in their size; infinite if far."""
        apart_J = np.linalg.norm(pose_JD - self.expected_JD(now_s), axis=-1)
        if np.isnan(apart_J).all():
            return np.inf
        reach = min(REACH + _REACH_PER_S * (now_s - self.seen_s), _MOST_REACH)
        off = float(np.nanmedian(apart_J)) / self.size
        return off if off <= reach else np.inf

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
    cost = np.array([[one.off(pose_JD, now_s) for pose_JD in poses] for one in near])
    far = 10.0 * _MOST_REACH * max(cost.shape)
    rows, columns = linear_sum_assignment(np.where(np.isinf(cost), far, cost))
    return {
        int(column): near[int(row)]
        for row, column in zip(rows, columns, strict=True)
        if np.isfinite(cost[row, column])
    }
