"""Poses as stick figures: which way is up, where the viewer stands, which bones there are.

Shape letters: T frames, J joints, D dims, B bones.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from poise_retrieval.geometry.skeletons import SKELETONS, Skeleton

Floats = NDArray[np.float32]
Side = Literal["left", "right", "middle"]

#: Places on the 14-joint template.
_ANKLES, _HIPS, _SHOULDERS, _HEAD = (0, 5), (2, 3), (8, 9), 13
#: The viewer stands this much to the side, and looks this much down: in degrees.
_AROUND, _DOWN = 35.0, 8.0


@dataclass(frozen=True)
class Bone:
    """A bone between two joints, and the side of the body it is on."""

    first: int
    second: int
    side: Side


def bones(skeleton: Skeleton) -> list[Bone]:
    """List a skeleton's bones; those between its template joints where it names none."""
    template = SKELETONS["j14"].edges
    places = skeleton.pvd_joints
    edges = skeleton.edges or tuple((places[a], places[b]) for a, b in template)
    return [Bone(a, b, _side(skeleton.joints[a], skeleton.joints[b])) for a, b in edges]


def up_of(poses: Sequence[Floats], skeleton: Skeleton) -> NDArray[np.float64]:
    """Say which axis of the data points up, as a unit vector (3,): from ankles to heads."""
    places = skeleton.pvd_joints
    total = np.zeros(3)
    for poses_TJD in poses:
        feet_TD = poses_TJD[:, [places[ankle] for ankle in _ANKLES]].mean(1)
        rise_D = (poses_TJD[:, places[_HEAD]] - feet_TD).mean(0)
        total += rise_D / max(float(np.linalg.norm(rise_D)), 1e-9)
    axis = int(np.abs(total).argmax())
    up = np.zeros(3)
    up[axis] = 1.0 if total[axis] >= 0 else -1.0
    return up


@dataclass(frozen=True)
class View:
    """Where the viewer stands: two directions of the data span the picture, (2, D)."""

    across_up: NDArray[np.float64]

    @classmethod
    def of(cls, query_TJD: Floats, skeleton: Skeleton, up: NDArray[np.float64] | None) -> Self:
        """Stand before a person, somewhat to the side; images (``up`` None) as they are."""
        if up is None:
            return cls(np.array([[1.0, 0.0], [0.0, -1.0]]))
        places = skeleton.pvd_joints
        first, second = (
            query_TJD[0, [places[pair[side]] for pair in (_HIPS, _SHOULDERS)]].mean(0)
            for side in (0, 1)
        )
        left = (
            first - second
            if _side_of(skeleton.joints[places[_HIPS[0]]]) == "left"
            else second - first
        )
        left = left - up * (left @ up)
        left = left / max(float(np.linalg.norm(left)), 1e-9)
        forward = np.cross(left, up)
        turn, tilt = np.radians(_AROUND), np.radians(_DOWN)
        across = np.cos(turn) * left + np.sin(turn) * forward
        towards = np.cross(across, up)
        return cls(np.stack([across, np.cos(tilt) * up - np.sin(tilt) * towards]))

    def project(self, poses_TJD: Floats) -> NDArray[np.float64]:
        """Return the picture's coordinates, across and up, (T, J, 2)."""
        flat: NDArray[np.float64] = poses_TJD @ self.across_up.T
        return flat


def _side(first: str, second: str) -> Side:
    sides = {_side_of(first), _side_of(second)}
    return sides.pop() if len(sides) == 1 else "middle"


def _side_of(joint: str) -> Side:
    # left_hip, LeftUpLeg, l_hip, LHip; but neither lumbar nor root.
    told = re.match(r"(?i:left|right)|[lr]_|[LR][A-Z]", joint)
    if told is None:
        return "middle"
    return "left" if told[0][0] in "lL" else "right"
