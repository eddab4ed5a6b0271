"""Joint orders, and how each maps onto the 14 joints of the pose template.

The template is a flat stick figure that faces the viewer, 1.6 units tall: a leg from ankle to hip,
the other from hip to ankle, an arm from wrist to shoulder, the other from shoulder to wrist, neck,
head. It is symmetric, so either side may come first, as long as legs and arms agree.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from poise_retrieval.errors import SkeletonError

#: Joints of the pose template.
PVD_JOINTS: Final = 14
#: Numbers of a joint by representation: image coordinates, space, and a rotation in 6D.
DIMS: Final[Mapping[str, int]] = MappingProxyType({"2D": 2, "3D": 3, "smpl": 6})


@dataclass(frozen=True)
class Skeleton:
    """A joint order.

    Attributes:
        name: its key in `SKELETONS`, or any name for a user's own joint order.
        joints: joint names in storage order.
        pvd_joints: for each of the 14 template joints, its index in ``joints``.
        edges: bones as pairs of indices in ``joints``; empty where they are unknown.
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


_SMPL: Final = (
    "pelvis left_hip right_hip spine1 left_knee right_knee spine2 left_ankle right_ankle spine3 "
    "left_foot right_foot neck left_collar right_collar head left_shoulder right_shoulder "
    "left_elbow right_elbow left_wrist right_wrist left_hand right_hand"
)
#: SMPL's joints, whose poses are rotations and need no skeleton to be compared.
SMPL_JOINTS: Final = tuple(_SMPL.split())


def _skeleton(name: str, joints: str, template: str, bones: tuple[str, ...]) -> Skeleton:
    """Build a skeleton from joint names: in storage order, in template order, along the bones."""
    names = tuple(joints.split())
    place = {joint: number for number, joint in enumerate(names)}
    chains = [[place[joint] for joint in chain.split()] for chain in bones]
    edges = tuple(edge for chain in chains for edge in pairwise(chain))
    return Skeleton(name, names, tuple(place[joint] for joint in template.split()), edges)


_LIMBS: Final = (
    "left_ankle left_knee left_hip right_hip right_knee right_ankle "
    "left_wrist left_elbow left_shoulder right_shoulder right_elbow right_wrist "
)
_H36M17: Final = _skeleton(
    "h36m17",
    joints="pelvis right_hip right_knee right_ankle left_hip left_knee left_ankle "
    "spine thorax neck head "
    "left_shoulder left_elbow left_wrist right_shoulder right_elbow right_wrist",
    template=_LIMBS + "thorax head",
    bones=(
        "pelvis right_hip right_knee right_ankle",
        "pelvis left_hip left_knee left_ankle",
        "pelvis spine thorax neck head",
        "thorax left_shoulder left_elbow left_wrist",
        "thorax right_shoulder right_elbow right_wrist",
    ),
)
#: The 2D detectors of Human3.6M: h36m17 without the joint between thorax and head.
_H36M16: Final = _skeleton(
    "h36m16",
    joints="pelvis right_hip right_knee right_ankle left_hip left_knee left_ankle "
    "spine thorax head "
    "left_shoulder left_elbow left_wrist right_shoulder right_elbow right_wrist",
    template=_LIMBS + "thorax head",
    bones=(
        "pelvis right_hip right_knee right_ankle",
        "pelvis left_hip left_knee left_ankle",
        "pelvis spine thorax head",
        "thorax left_shoulder left_elbow left_wrist",
        "thorax right_shoulder right_elbow right_wrist",
    ),
)
_J14_JOINTS: Final = (
    "right_ankle right_knee right_hip left_hip left_knee left_ankle "
    "right_wrist right_elbow right_shoulder left_shoulder left_elbow left_wrist neck head"
)
_J14: Final = _skeleton(
    "j14",
    joints=_J14_JOINTS,
    template=_J14_JOINTS,
    bones=(
        "right_ankle right_knee right_hip left_hip left_knee left_ankle",
        "right_wrist right_elbow right_shoulder neck left_shoulder left_elbow left_wrist",
        "right_hip right_shoulder",
        "left_hip left_shoulder",
        "neck head",
    ),
)
#: MPI-INF-3DHP (its test order) and MuPoTS.
_MPI17: Final = _skeleton(
    "mpi17",
    joints="head_top neck right_shoulder right_elbow right_wrist left_shoulder left_elbow "
    "left_wrist right_hip right_knee right_ankle left_hip left_knee left_ankle pelvis spine head",
    template=_LIMBS + "neck head_top",
    bones=(
        "head_top head neck spine pelvis",
        "neck right_shoulder right_elbow right_wrist",
        "neck left_shoulder left_elbow left_wrist",
        "pelvis right_hip right_knee right_ankle",
        "pelvis left_hip left_knee left_ankle",
    ),
)
#: JHMDB has no top of the head: the middle of the face takes its place on the template.
_JHMDB15: Final = _skeleton(
    "jhmdb15",
    joints="neck belly face right_shoulder left_shoulder right_hip left_hip right_elbow "
    "left_elbow right_knee left_knee right_wrist left_wrist right_ankle left_ankle",
    template=_LIMBS + "neck face",
    bones=(
        "belly neck face",
        "neck right_shoulder right_elbow right_wrist",
        "neck left_shoulder left_elbow left_wrist",
        "belly right_hip right_knee right_ankle",
        "belly left_hip left_knee left_ankle",
    ),
)

SKELETONS: Final[Mapping[str, Skeleton]] = MappingProxyType(
    {body.name: body for body in (_H36M17, _H36M16, _J14, _MPI17, _JHMDB15)}
)


def skeleton(given: Skeleton | str) -> Skeleton:
    """Return the skeleton of a name; a `Skeleton` is returned as it is.

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
    leg, arm = [(0.1, -0.8), (0.1, -0.35), (0.1, 0.05)], [(0.2, 0.0), (0.15, 0.275), (0.1, 0.55)]
    other_leg, other_arm = ([(-x, y) for x, y in reversed(limb)] for limb in (leg, arm))
    template = np.zeros((PVD_JOINTS, dims), np.float32)
    template[:, :2] = leg + other_leg + arm + other_arm + [(0.0, 0.6), (0.0, 0.8)]
    if dims == 2:
        template[:, 1] *= -1.0  # image coordinates: y points down
    template.setflags(write=False)
    return template


#: (14, 3), y up, z = 0.
TEMPLATE_3D: Final = _template(3)
#: (14, 2), image coordinates, y down.
TEMPLATE_2D: Final = _template(2)
