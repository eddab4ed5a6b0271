"""Joint sets: which joints pose estimators give, in which order, and how they are connected."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from poise.runtime.errors import DataError, in_short
from poise.runtime.text.files import read_text
from poise_retrieval.geometry.skeletons import SKELETONS

#: How programs spell sides, and what they call joints that have a name here.
_SIDES: Final = {"l": "left", "left": "left", "r": "right", "right": "right"}
_OTHER_NAMES: Final = {
    "mid_hip": "pelvis",
    "midhip": "pelvis",
    "hip": "pelvis",
    "hips": "pelvis",
    "root": "pelvis",
    "hip_center": "pelvis",
    "bottom_torso": "pelvis",
    "head_top": "head_top",
    "top_head": "head_top",
    "upper_neck": "neck",
    "left_bigtoe": "left_big_toe",
    "right_bigtoe": "right_big_toe",
    "left_smalltoe": "left_small_toe",
    "right_smalltoe": "right_small_toe",
    "left_mouth": "mouth_left",
    "right_mouth": "mouth_right",
    "left_toe": "left_foot",
    "right_toe": "right_foot",
}
#: Of bones that joints are named by, without their sides.
_RIG: Final = {
    "shoulder": "collar",
    "arm": "shoulder",
    "fore_arm": "elbow",
    "hand": "wrist",
    "up_leg": "hip",
    "thigh": "hip",
    "leg": "knee",
    "shin": "knee",
    "foot": "ankle",
    "toe_base": "foot",
    "toe": "foot",
}
_APPLE: Final = {
    "shoulder_1_joint": "shoulder",
    "arm_joint": "shoulder",
    "forearm_joint": "elbow",
    "hand_joint": "wrist",
    "up_leg_joint": "hip",
    "leg_joint": "knee",
    "foot_joint": "ankle",
    "eye_joint": "eye",
    "ear_joint": "ear",
    "neck_1_joint": "neck",
    "head_joint": "head",
    "hips_joint": "pelvis",
}
#: Whose bones count where nobody knows the set: by the names of their ends.
_USUAL: Final = ("halpe26", "h36m17", "smpl24")
#: Freemocap and others put the group of a joint before its name.
_GROUPS: Final = ("body", "pose")
_WORDS: Final = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+\d*|[A-Z]+\d*|\d+")


@dataclass(frozen=True)
class JointSet:
    """The joints of a kind of estimator.

    Attributes:
        name: its key, for example ``coco17``.
        about: what it is, and whose.
        joints: names in the order of files.
        bones: pairs of places in `joints`.
    """

    name: str
    about: str
    joints: tuple[str, ...]
    bones: tuple[tuple[int, int], ...]


@cache
def joint_sets() -> Mapping[str, JointSet]:
    """Return all joint sets by name: those of estimators, then those of the pose template."""
    text = resources.files("poise.catalog").joinpath("joint_sets.toml").read_text("utf-8")
    found: dict[str, JointSet] = {}
    for name, given in tomllib.loads(text).items():
        found[name] = _joint_set(name, given)
    for name, body in SKELETONS.items():
        if name == "j14":  # lsp14, by another name
            continue
        found[name] = JointSet(name, "a skeleton of the pose template", body.joints, body.edges)
    return MappingProxyType(found)


def _joint_set(name: str, given: Mapping[str, Any]) -> JointSet:
    """Return a set of its description; raise `ValueError` where a bone has no joint there."""
    joints = tuple(one for word in given["joints"].split() for one in _numbered(word))
    chains = [[joints.index(joint) for joint in chain.split()] for chain in given.get("bones", ())]
    bones = tuple(bone for chain in chains for bone in pairwise(chain))
    return JointSet(name, given.get("about", ""), joints, bones)


def read_joint_set(path: Path) -> JointSet:
    """Read somebody's own joints from a TOML file; raise `DataError` where it says none.

    It holds ``joints``, names with blanks between them, and may hold ``bones``, chains of them.
    """
    try:
        given = tomllib.loads(read_text(path))
        found = _joint_set(path.stem, given)
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{path}: is no TOML ({in_short(error)})") from None
    except RecursionError:
        raise DataError(f"{path}: lists nested too deep") from None
    except ValueError as error:
        raise DataError(f"{path}: bones of joints that are not among its own ({error})") from None
    except (KeyError, AttributeError, TypeError):
        raise DataError(
            f'{path}: write joints = "nose neck ..." in the order of the file, and if you like '
            'bones = ["nose neck", ...]'
        ) from None
    if not found.joints or len(set(found.joints)) < len(found.joints):
        raise DataError(f"{path}: {len(found.joints)} joints, which must have different names")
    return found


def bones_between(names: Sequence[str], known: str = "") -> list[tuple[int, int]]:
    """Return pairs of places among joints; none where no joint's name is known.

    Args:
        names: of the joints, in any program's spelling.
        known: the joint set that they are, where that is known.
    """
    plain = plain_joints(names)
    place = {name: number for number, name in reversed(list(enumerate(plain)))}
    own = joint_sets().get(known)
    found: dict[tuple[int, int], None] = {}
    for one in [own] if own else [joint_sets()[name] for name in _USUAL]:
        for ends in one.bones:
            start, end = (place.get(plain_joint(one.joints[joint])) for joint in ends)
            if start is not None and end is not None and (end, start) not in found:
                found[start, end] = None
        if found:
            break
    return list(found)


def _numbered(word: str) -> list[str]:
    """Return ``face_0``, ``face_1`` and ``face_2`` for ``face_0..2``."""
    name, dots, last = word.partition("0..")
    return [f"{name}{number}" for number in range(int(last) + 1)] if dots else [word]


def plain_joint(name: str) -> str:
    """Return a joint's name as joint sets spell it: ``RHip``, ``hip_right``: ``right_hip``."""
    spelt = _spelt(name)
    return _OTHER_NAMES.get(spelt, spelt)


def _spelt(name: str) -> str:
    words = [word.lower() for word in _WORDS.findall(name)]
    if len(words) > 1 and words[0] in _GROUPS:
        del words[0]
    sides = [_SIDES[word] for word in words if word in _SIDES]
    rest = "_".join(word for word in words if word not in _SIDES)
    return f"{sides[0]}_{rest}" if sides and rest else rest or name.lower()


def plain_joints(names: Sequence[str]) -> list[str]:
    """Return joints' names as joint sets spell them, where it takes all names to tell.

    Animation programs and Apple name a joint by the bone that begins there: the shoulder is
    LeftArm or left_arm_joint, and LeftShoulder the collar bone.
    """
    spelt = [_spelt(name) for name in names]
    others: Mapping[str, str] = {}
    if "left_fore_arm" in spelt and "left_arm" in spelt:
        others = _RIG
    elif "left_forearm_joint" in spelt:
        # Vision knows no collar bones; ARKit has both, and then the arm is the shoulder.
        own = {"shoulder_1_joint": "collar"} if "left_arm_joint" in spelt else {}
        others = _APPLE | own
    return [_sided(name, others) for name in spelt]


def _sided(spelt: str, others: Mapping[str, str]) -> str:
    side, _, rest = spelt.partition("_")
    if side in _SIDES.values() and rest in others:
        return f"{side}_{others[rest]}"
    return others.get(spelt) or _OTHER_NAMES.get(spelt, spelt)


def of_count(joints: int) -> list[JointSet]:
    """Return the sets that have so many joints."""
    return [one for one in joint_sets().values() if len(one.joints) == joints]


def of_names(names: Sequence[str]) -> JointSet | None:
    """Return the set whose joints these are, in its order or another; None where there is none."""
    plain = [plain_joint(name) for name in names]
    fitting = [
        one
        for one in joint_sets().values()
        if len(one.joints) == len(plain) and {*map(plain_joint, one.joints)} == {*plain}
    ]
    in_order = [one for one in fitting if [*map(plain_joint, one.joints)] == plain]
    return next(iter(in_order or fitting), None)
