"""A file's skeleton as text: its tree of joints, and a map of them to correct and give back."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from poise.mocap.clip import JOINTS
from poise.mocap.formats import cgspeed
from poise.mocap.formats.asf import read_asf
from poise.mocap.formats.bvh import read_bvh
from poise.mocap.formats.c3d import read_c3d
from poise.mocap.joints import ACCLAIM, JointMap, enough
from poise.mocap.people import subject_name
from poise.mocap.skeleton_files import SkeletonFiles
from poise.mocap.skeleton_map import best_map, spelt
from poise.runtime.errors import DataError
from poise.runtime.printable import printable

#: What a joint may be called in English where no program's names fit.
_JOINT_WORDS: Final = {
    "hip": r"hip(joint)?|up(per)?_?leg|thigh|femur",
    "knee": r"knee|shin|calf|low(er)?_?leg|tibia|leg",
    "ankle": r"ankle|foot",
    "shoulder": r"shoulder|shldr|up(per)?_?arm|humerus|arm",
    "elbow": r"elbow|fore_?arm|low(er)?_?arm|radius",
    "wrist": r"wrist|hand",
    "spine": r"spine_?0*[12]?|chest|abdomen|lowerback|torso",
    "thorax": r"neck_?0*1?|thorax|upperchest",
    "neck": r"head",
    "head": r"head(top)?(_?end|nub|top)",
}
#: The same of the bone that ends in it.
_BONE_WORDS: Final = {
    "hip": r"hip(joint)?|pelvis",
    "knee": r"femur|thigh|up(per)?_?leg",
    "ankle": r"tibia|shin|calf|low(er)?_?leg",
    "shoulder": r"clavicle|collar|shoulder",
    "elbow": r"humerus|up(per)?_?arm",
    "wrist": r"radius|fore_?arm|low(er)?_?arm",
    "spine": r"lowerback|abdomen|spine_?0*1?",
    "thorax": r"thorax|upperchest|chest",
    "neck": r"upperneck|neck",
    "head": r"head",
}
#: Vicon's usual markers; hips are not among them, but among the joint centres it works out.
_PLUG_IN_GAIT: Final = {
    "pelvis": "LASI RASI LPSI RPSI",
    **{f"{side}_hip": f"{side[0]}HJC" for side in ("left", "right")},
    **{f"{side}_knee": f"{side[0]}KNE" for side in ("left", "right")},
    **{f"{side}_ankle": f"{side[0]}ANK" for side in ("left", "right")},
    **{f"{side}_shoulder": f"{side[0]}SHO" for side in ("left", "right")},
    **{f"{side}_elbow": f"{side[0]}ELB" for side in ("left", "right")},
    **{f"{side}_wrist": f"{side[0]}WRA {side[0]}WRB" for side in ("left", "right")},
    "spine": "T10 STRN",
    "thorax": "C7 CLAV",
    "head": "LFHD RFHD LBHD RBHD",
}
_MARKER_SETTINGS: Final = ('up = "z"  # or y', "longest_gap = 10", "[joints]")


@dataclass(frozen=True)
class _Skeleton:
    """What is shown; ``known`` is how Poise reads the file without a map."""

    file: Path
    names: Sequence[str]
    parents: Sequence[int]
    known: str
    joints: JointMap
    words: Mapping[str, str]


def outline(file: Path) -> str:
    """Return the tree of a BVH, ASF or AMC file, or the labels of a C3D file, and a map.

    The tree is in comments: the text is a map file, to be corrected and filled in.

    Raises:
        DataError: it cannot be read, or is another kind of file.
    """
    kind = file.suffix.lower()
    if kind == ".c3d":
        labels = read_c3d(file, "mm").labels
        usual = {joint: tuple(names.split()) for joint, names in _PLUG_IN_GAIT.items()}
        found = spelt(usual, labels)
        shown = _Skeleton(file, labels, [-1] * len(labels), "", found, _JOINT_WORDS)
        return _text(shown, "--markers", _MARKER_SETTINGS)
    if kind == ".bvh":
        return _text(_bvh(file), "--skeleton-map")
    if kind in (".asf", ".amc"):
        return _text(_acclaim(file if kind == ".asf" else _skeleton_of(file)), "--skeleton-map")
    raise DataError(f"{file}: has no skeleton that can be shown; .bvh, .asf, .amc and .c3d have")


def _bvh(file: Path) -> _Skeleton:
    take = read_bvh(file)
    known, found = best_map(take.names)
    known = known if enough(found) else ""
    if cgspeed.is_known(take):
        known, found = "CMU's, as cgspeed converted it", cgspeed.dialect_of(take).joints
    parents = [joint.parent for joint in take.joints]
    return _Skeleton(file, take.names, parents, known, spelt(found, take.names), _JOINT_WORDS)


def _acclaim(file: Path) -> _Skeleton:
    bones = read_asf(file)
    there = {joint: own for joint, own in ACCLAIM.items() if set(own) <= set(bones.names)}
    parents = [bone.parent for bone in bones.bones]
    known = "CMU's" if enough(there) else ""
    return _Skeleton(file, bones.names, parents, known, there, _BONE_WORDS)


def _skeleton_of(file: Path) -> Path:
    found = SkeletonFiles.below(file.parent).of(file, subject_name(file.stem.partition("_")[0]))
    if found is None:
        raise DataError(f"{file}: no .asf beside it; show that file")
    return found


def _text(shown: _Skeleton, option: str, settings: Sequence[str] = ()) -> str:
    depth: list[int] = []
    for parent in shown.parents:
        depth.append(0 if parent < 0 else depth[parent] + 1)
    tree = [f"{'  ' * deep}{name}" for deep, name in zip(depth, shown.names, strict=True)]
    state = f"read as {shown.known}, without a map" if shown.known else "not known to Poise"
    comments = [
        f"{shown.file.name}: {state}",
        *tree,
        f"Correct this map, fill in what is empty, and give it to {option}. What stays empty",
        "is marked as missing; hips, knees and 13 joints in all are needed.",
    ]
    lines = [f"# {printable(line)}" for line in comments]
    return "\n".join([*lines, *settings, *(_line(joint, shown) for joint in JOINTS)]) + "\n"


def _line(joint: str, shown: _Skeleton) -> str:
    found = list(shown.joints.get(joint, ()))
    guess = [] if found else _guess(joint, shown)
    note = "  # by its name alone" if guess else ""
    return f"{joint} = {json.dumps([*found, *guess], ensure_ascii=False)}{note}"


def _guess(joint: str, shown: _Skeleton) -> list[str]:
    side, _, part = joint.rpartition("_")
    if part not in shown.words:
        return []
    sides = rf"({side}|{side[:1]})" if side else ""
    words = rf"({shown.words[part]})"
    fitting = re.compile(rf"{sides}[\s._-]*{words}|{words}[\s._-]*{sides}", re.I)
    return [name for name in shown.names if fitting.fullmatch(cgspeed.plain_name(name))][:1]
