"""Which joints of a motion are connected."""

from typing import Final

from poise.catalog.joint_sets import joint_sets, plain_joint
from poise.motion.motion import Motion

#: Whose bones count where nobody knows the set: by the names of their ends.
_USUAL: Final = ("halpe26", "h36m17", "smpl24")


#: Where a body begins, the best first.
_ROOTS: Final = ("pelvis", "spine", "thorax", "neck", "right_hip")


def root_of(motion: Motion) -> int:
    """Return the joint where a motion's body begins; the first one where no name tells."""
    plain = [plain_joint(name) for name in motion.joints]
    return next((plain.index(name) for name in _ROOTS if name in plain), 0)


def bones_of(motion: Motion) -> list[tuple[int, int]]:
    """Return pairs of places among a motion's joints; none where no joint's name is known."""
    plain = [plain_joint(name) for name in motion.joints]
    place = {name: number for number, name in reversed(list(enumerate(plain)))}
    known = joint_sets()
    own = known.get(motion.skeleton or "")
    sets = [own] if own else [known[name] for name in _USUAL]
    found: dict[tuple[int, int], None] = {}
    for one in sets:
        for ends in one.bones:
            start, end = (place.get(plain_joint(one.joints[joint])) for joint in ends)
            if start is not None and end is not None and (end, start) not in found:
                found[start, end] = None
        if found:
            break
    return list(found)
