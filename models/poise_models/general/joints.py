"""The joints that the general network knows, and where a skeleton has them.

They are the 17 of Human3.6M. Whatever a skeleton lacks of them counts as not seen, and what it has
beside them (faces, fingers, toes) is refined channel by channel.
"""

from collections.abc import Sequence
from typing import Final

_NAMED: Final = (
    "pelvis right_hip right_knee right_ankle left_hip left_knee left_ankle "
    "spine thorax neck head "
    "left_shoulder left_elbow left_wrist right_shoulder right_elbow right_wrist"
)
JOINTS: Final = tuple(_NAMED.split())
#: A skeleton that has none of them.
NOWHERE: Final[tuple[int | None, ...]] = (None,) * len(JOINTS)
#: How long bones are, in metres: CMU's medians, either side. Limbs, and the trunk's four sides.
_LENGTHS: Final = {
    "right_hip right_knee": 0.37,
    "right_knee right_ankle": 0.45,
    "left_hip left_knee": 0.37,
    "left_knee left_ankle": 0.45,
    "right_shoulder right_elbow": 0.28,
    "right_elbow right_wrist": 0.24,
    "left_shoulder left_elbow": 0.28,
    "left_elbow left_wrist": 0.24,
    "right_hip left_hip": 0.18,
    "right_shoulder left_shoulder": 0.23,
    "right_hip right_shoulder": 0.47,
    "left_hip left_shoulder": 0.47,
}
#: Pairs of joints whose distance tells how large a person is, and how long each is.
BONES: Final = [tuple(JOINTS.index(end) for end in bone.split()) for bone in _LENGTHS]
LENGTHS_M: Final = tuple(_LENGTHS.values())
#: What skeletons call them beside; of several that are there the first.
_ALSO: Final = {
    "spine": ("spine", "spine1", "chest"),
    "head": ("head_top", "head"),
}


def places(names: Sequence[str]) -> tuple[int | None, ...]:
    """Say for each of `JOINTS` which of a skeleton's joints it is; None where it has none.

    A neck is the point between the shoulders, the thorax here, where nothing else is.
    """
    found = {
        joint: next((names.index(one) for one in _ALSO.get(joint, (joint,)) if one in names), None)
        for joint in JOINTS
    }
    if found["thorax"] is None:
        found["thorax"], found["neck"] = found["neck"], None
    return tuple(found.values())
