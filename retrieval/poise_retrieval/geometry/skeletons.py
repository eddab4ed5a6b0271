"""Joint orders, and how each maps onto the 14 joints of the pose template.

The template is a flat stick figure that faces the viewer, 1.6 units tall. It is symmetric, so it
does not matter which side of the body a joint order names first, as long as legs and arms agree.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from poise_retrieval.errors import SkeletonError

PVD_JOINTS: Final = 14


@dataclass(frozen=True)
class Skeleton:
    """A joint order.

    Attributes:
        name: key in `SKELETONS`; of a user's own order, whatever she calls it.
        joints: joint names in storage order.
        pvd_joints: for each of the 14 template joints, its index in this order.
        edges: bones as pairs of joint indices; empty where nobody has told them.
    """

    name: str
    joints: tuple[str, ...]
    pvd_joints: tuple[int, ...]
    edges: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        mapped = set(self.pvd_joints)
        if len(self.pvd_joints) != PVD_JOINTS or len(mapped) != PVD_JOINTS:
            raise SkeletonError(
                f"skeleton {self.name}: a map onto the template names {PVD_JOINTS} different "
                f"joints, got {list(self.pvd_joints)}"
            )
        if not mapped <= set(range(len(self.joints))):
            raise SkeletonError(f"skeleton {self.name}: its map names joints it does not have")


_H36M17 = Skeleton(
    name="h36m17",
    joints=(
        *("pelvis", "right_hip", "right_knee", "right_ankle"),
        *("left_hip", "left_knee", "left_ankle"),
        *("spine", "thorax", "neck", "head"),
        *("left_shoulder", "left_elbow", "left_wrist"),
        *("right_shoulder", "right_elbow", "right_wrist"),
    ),
    pvd_joints=(6, 5, 4, 1, 2, 3, 13, 12, 11, 14, 15, 16, 8, 10),
    edges=(
        *((0, 1), (1, 2), (2, 3), (0, 4), (4, 5), (5, 6)),
        *((0, 7), (7, 8), (8, 9), (9, 10)),
        *((8, 11), (11, 12), (12, 13), (8, 14), (14, 15), (15, 16)),
    ),
)
_J14 = Skeleton(
    name="j14",
    joints=(
        *("right_ankle", "right_knee", "right_hip"),
        *("left_hip", "left_knee", "left_ankle"),
        *("right_wrist", "right_elbow", "right_shoulder"),
        *("left_shoulder", "left_elbow", "left_wrist"),
        *("neck", "head"),
    ),
    pvd_joints=tuple(range(PVD_JOINTS)),
    edges=(
        *((0, 1), (1, 2), (2, 3), (3, 4), (4, 5)),
        *((6, 7), (7, 8), (8, 12), (12, 9), (9, 10), (10, 11)),
        *((2, 8), (3, 9), (12, 13)),
    ),
)

#: The 2D detectors of Human3.6M: h36m17 without the joint between thorax and head.
_H36M16 = Skeleton(
    name="h36m16",
    joints=tuple(joint for joint in _H36M17.joints if joint != "neck"),
    pvd_joints=(6, 5, 4, 1, 2, 3, 12, 11, 10, 13, 14, 15, 8, 9),
    edges=(
        *((0, 1), (1, 2), (2, 3), (0, 4), (4, 5), (5, 6)),
        *((0, 7), (7, 8), (8, 9)),
        *((8, 10), (10, 11), (11, 12), (8, 13), (13, 14), (14, 15)),
    ),
)
#: MPI-INF-3DHP (its test order) and MuPoTS.
_MPI17 = Skeleton(
    name="mpi17",
    joints=(
        *("head_top", "neck"),
        *("right_shoulder", "right_elbow", "right_wrist"),
        *("left_shoulder", "left_elbow", "left_wrist"),
        *("right_hip", "right_knee", "right_ankle"),
        *("left_hip", "left_knee", "left_ankle"),
        *("pelvis", "spine", "head"),
    ),
    pvd_joints=(13, 12, 11, 8, 9, 10, 7, 6, 5, 2, 3, 4, 1, 0),
    edges=(
        *((0, 16), (16, 1), (1, 15), (15, 14)),
        *((1, 2), (2, 3), (3, 4), (1, 5), (5, 6), (6, 7)),
        *((14, 8), (8, 9), (9, 10), (14, 11), (11, 12), (12, 13)),
    ),
)
#: JHMDB has no top of the head: the middle of the face takes its place on the template.
_JHMDB15 = Skeleton(
    name="jhmdb15",
    joints=(
        *("neck", "belly", "face"),
        *("right_shoulder", "left_shoulder", "right_hip", "left_hip"),
        *("right_elbow", "left_elbow", "right_knee", "left_knee"),
        *("right_wrist", "left_wrist", "right_ankle", "left_ankle"),
    ),
    pvd_joints=(14, 10, 6, 5, 9, 13, 12, 8, 4, 3, 7, 11, 0, 2),
    edges=(
        *((0, 1), (0, 2), (0, 3), (0, 4), (1, 5), (1, 6)),
        *((3, 7), (7, 11), (4, 8), (8, 12), (5, 9), (9, 13), (6, 10), (10, 14)),
    ),
)

SKELETONS: Final[Mapping[str, Skeleton]] = MappingProxyType(
    {s.name: s for s in (_H36M17, _H36M16, _J14, _MPI17, _JHMDB15)}
)


def skeleton(given: Skeleton | str) -> Skeleton:
    """Look a skeleton up by name; one that is given as such is returned.

    Raises:
        SkeletonError: no skeleton has that name.
    """
    if isinstance(given, Skeleton):
        return given
    try:
        return SKELETONS[given]
    except KeyError:
        known = ", ".join(sorted(SKELETONS))
        raise SkeletonError(f"unknown skeleton {given!r}: known are {known}") from None


def _template(dims: int) -> NDArray[np.float32]:
    ankle, knee, hip = (0.1, -0.8), (0.1, -0.35), (0.1, 0.05)
    wrist, elbow, shoulder = (0.2, 0.0), (0.15, 0.275), (0.1, 0.55)
    first = (ankle, knee, hip, wrist, elbow, shoulder)
    second_leg, second_arm = (hip, knee, ankle), (shoulder, elbow, wrist)
    flat = [
        *first[:3],
        *((-x, y) for x, y in second_leg),
        *first[3:],
        *((-x, y) for x, y in second_arm),
        (0.0, 0.6),
        (0.0, 0.8),
    ]
    template = np.zeros((PVD_JOINTS, dims), np.float32)
    template[:, :2] = flat
    if dims == 2:
        template[:, 1] *= -1.0  # image coordinates: y points down
    template.setflags(write=False)
    return template


#: (14, 3), y up, z = 0.
TEMPLATE_3D: Final = _template(3)
#: (14, 2), image coordinates, y down.
TEMPLATE_2D: Final = _template(2)
