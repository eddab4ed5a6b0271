"""Skeletons by the names of their joints: those of common programs, and a map of one's own."""

import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import numpy as np

from poise.catalog.dataset_file import METRES
from poise.mocap.clip import JOINTS
from poise.mocap.formats.amass import z_up_to_y_up
from poise.mocap.formats.bvh import Bvh
from poise.mocap.formats.cgspeed import PECULIAR, plain_name
from poise.mocap.formats.kinematics import Floats
from poise.mocap.joints import NEEDED, JointMap, enough, pick
from poise.runtime.errors import DataError
from poise.runtime.text.files import read_text

#: Of an adult, in metres: one unit alone makes a thigh of this length.
_THIGH: Final = (0.3, 0.6)
_LIMBS: Final = ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
_MIDDLE: Final = ("spine", "thorax", "neck", "head")
#: From the pelvis up; the first that is there tells which way is up.
_HIGHEST: Final = ("head", "neck", "thorax", "left_shoulder", "right_shoulder", "spine")


def read_skeleton_map(path: Path) -> JointMap:
    """Read a TOML file with a list of joint names for each of the 17 joints.

    An empty list says that files do not have the joint.

    Raises:
        DataError: not such a file, or it lacks what `pick` needs; names the joint.
    """
    try:
        given: dict[str, Any] = tomllib.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: {error}") from None
    lists = {name: [one] if isinstance(one, str) else one for name, one in given.items()}
    if not lists.get("pelvis"):  # roots lie above and behind the hips
        hips = [lists.get(f"{side}_hip") for side in ("left", "right")]
        lists["pelvis"] = [name for names in hips if isinstance(names, list) for name in names]
    for joint in (*JOINTS[1:], *lists):  # a pelvis is missing with the hips
        names = lists.get(joint)
        known = joint in JOINTS and isinstance(names, list) and (names or joint not in NEEDED)
        if not known or not all(isinstance(name, str) for name in lists[joint]):
            raise DataError(
                f"{path}: joint {joint} is unknown or names no joints; the 17 are "
                f"{', '.join(JOINTS)}"
            )
    return {joint: tuple(names) for joint, names in lists.items() if names}


def known_map(take: Bvh) -> JointMap | None:
    """Return the map of the one common program whose joints a take has, or None.

    Some joints may be missing (`pick`); the map is then without them.
    """
    title, found = best_map(take.names)
    if not title or not enough(found) or {*map(_plain, PECULIAR)} & {*map(_plain, take.names)}:
        return None  # of CMU's conversions, which lack the thorax, but not whole
    return found


def best_map(names: Sequence[str]) -> tuple[str, JointMap]:
    """Return the program whose joints a skeleton has most of, and the map of those.

    Without a name where two programs have equally many and mean different joints.
    """
    there = {_plain(name) for name in names}
    maps = {title: _filled(rules, there) for title, rules in _programs().items()}
    # Programs call limbs alike, and the spine not.
    score = {title: len(found) + ("spine" in found) for title, found in maps.items()}
    most = max(score.values())
    best = [title for title in maps if score[title] == most]
    alike = all(maps[title] == maps[best[0]] for title in best)
    return best[0] if alike and most else "", maps[best[0]]


def spelt(joints: JointMap, names: Sequence[str]) -> JointMap:
    """Return the part of a map that a skeleton has, with names as the file spells them."""
    own = {_plain(name): name for name in reversed(names)}
    plain = {joint: [_plain(name) for name in points] for joint, points in joints.items()}
    return {
        joint: tuple(own[name] for name in points)
        for joint, points in plain.items()
        if set(points) <= set(own)
    }


def joints_of(take: Bvh, joints: JointMap, unit: str = "") -> tuple[Floats, tuple[str, ...]]:
    """Return the 17 joints in metres, y up, (F, 17, 3), and what there is to note.

    Without a unit the thigh tells it; the first frame tells what is up.

    Raises:
        DataError: the map has too few joints of the file, or no unit makes the thighs an adult's.
    """
    names = [_plain(name) for name in take.names]
    plain = {joint: tuple(map(_plain, points)) for joint, points in joints.items()}
    try:
        found_FJ3 = pick(take.positions(), names, plain)
    except DataError as error:
        raise DataError(f"{take.file}: {error}") from None
    place = {joint: found_FJ3[:, number] for number, joint in enumerate(JOINTS)}
    metres = METRES[unit] if unit else _metres(take, place)
    rise_F3 = _rise(take, place)
    upright_FJ3 = found_FJ3
    if np.abs(rise_F3[0]).argmax() == 2:
        upright_FJ3, rise_F3 = z_up_to_y_up(found_FJ3), z_up_to_y_up(rise_F3)
    note = f"{take.file}: its head is below its pelvis (axes of a camera?): turned over"
    upside_down = bool(rise_F3[0, 1] < 0 and np.median(rise_F3[:, 1]) < 0)
    if upside_down:
        upright_FJ3 = upright_FJ3 * np.array([1.0, -1.0, -1.0])
    return upright_FJ3 * metres, (note,) * upside_down


def _rise(take: Bvh, place: Mapping[str, Floats]) -> Floats:
    """Return the way from the pelvis up in the frames that show it, (F', 3)."""
    for joint in _HIGHEST:
        ways_F3 = place[joint] - place["pelvis"]
        seen_F3: Floats = ways_F3[~np.isnan(ways_F3).any(axis=1)]
        if len(seen_F3):
            return seen_F3
    raise DataError(f"{take.file}: its joints are NaN in every frame")


def _metres(take: Bvh, place: Mapping[str, Floats]) -> float:
    bone = place["right_hip"] - place["right_knee"]
    lengths = np.linalg.norm(bone, axis=-1)
    thigh = float(np.nanmedian(lengths)) if not np.isnan(lengths).all() else math.nan
    fitting = [metres for metres in METRES.values() if _THIGH[0] <= thigh * metres <= _THIGH[1]]
    if len(fitting) != 1:
        raise DataError(
            f"{take.file}: the right thigh is {thigh:.3g} units long, an adult's in none of "
            f"{', '.join(METRES)}; say with --unit which it is, scale the file, or correct the map "
            "if joints are mixed up"
        )
    return fitting[0]


def _plain(name: str) -> str:
    return re.sub(r"[\s._-]", "", plain_name(name)).casefold()


@cache
def _programs() -> dict[str, dict[str, Any]]:
    return tomllib.loads(files("poise.mocap").joinpath("skeletons.toml").read_text("utf-8"))


def _filled(rules: dict[str, list[str]], there: set[str]) -> JointMap:
    found: dict[str, tuple[str, ...]] = {}
    for side in ("left", "right"):
        for limb in _LIMBS:
            sided = [_sided(name, side) for name in rules[limb]]
            found[f"{side}_{limb}"] = tuple(name for name in sided if name in there)[:1]
    for joint in _MIDDLE:
        both = [{_sided(name, side): 0 for side in ("left", "right")} for name in rules[joint]]
        found[joint] = next((tuple(names) for names in both if set(names) <= there), ())
    if found["left_hip"] and found["right_hip"]:
        found["pelvis"] = found["left_hip"] + found["right_hip"]
    return {joint: names for joint, names in found.items() if names}


def _sided(name: str, side: str) -> str:
    return _plain(name.replace("{S}", side).replace("{s}", side[0]))
