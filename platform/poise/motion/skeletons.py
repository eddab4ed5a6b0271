"""Which joints of a motion are connected."""

from typing import Final

from poise.catalog.joint_sets import bones_between, plain_joints
from poise.motion.motion import Motion

#: Where a body begins, the best first.
_ROOTS: Final = ("pelvis", "spine", "thorax", "neck", "right_hip")


def root_of(motion: Motion) -> int:
    """Return the joint where a motion's body begins; the first one where nothing tells."""
    if motion.bones:
        return motion.bones[0][0]
    plain = plain_joints(motion.joints)
    return next((plain.index(name) for name in _ROOTS if name in plain), 0)


def bones_of(motion: Motion) -> list[tuple[int, int]]:
    """Return pairs of places among a motion's joints; none where file and names tell none."""
    if motion.bones:
        return list(motion.bones)
    return bones_between(motion.joints, motion.skeleton or "")
