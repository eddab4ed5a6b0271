"""Skeletons by the names of their joints: those of common programs, and a map of one's own."""

import re
import tomllib
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import numpy as np

from poise.catalog.dataset_file import METRES
from poise.mocap.clip import JOINTS
from poise.mocap.formats.amass import z_up_to_y_up
from poise.mocap.formats.bvh import Bvh
from poise.mocap.formats.cgspeed import plain_names
from poise.mocap.formats.kinematics import Floats
from poise.mocap.joints import JointMap, pick
from poise.runtime.errors import DataError
from poise.runtime.text import read_text

#: Of an adult, in metres: one unit alone makes a thigh of this length.
_THIGH: Final = (0.3, 0.6)
_LIMBS: Final = ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
_MIDDLE: Final = ("spine", "thorax", "neck", "head")


def read_skeleton_map(path: Path) -> JointMap:
    """Read a TOML file with a list of joint names for each of the 17 joints.

    Raises:
        DataError: not such a file; names the joint.
    """
    try:
        given: dict[str, Any] = tomllib.loads(read_text(path))
    except ValueError as error:
        raise DataError(f"{path}: {error}") from None
    lists = {name: [one] if isinstance(one, str) else one for name, one in given.items()}
    if "pelvis" not in lists:  # roots lie above and behind the hips
        hips = [lists.get(f"{side}_hip") for side in ("left", "right")]
        lists["pelvis"] = [name for names in hips if isinstance(names, list) for name in names]
    for joint in (*JOINTS, *lists):
        names = lists.get(joint)
        known = joint in JOINTS and isinstance(names, list) and names
        if not known or not all(isinstance(name, str) for name in lists[joint]):
            raise DataError(
                f"{path}: joint {joint} is unknown or names no joints; the 17 are "
                f"{', '.join(JOINTS)}"
            )
    return {joint: tuple(names) for joint, names in lists.items()}


def known_map(take: Bvh) -> JointMap | None:
    """Return the map of the one common program whose joints a take has, or None."""
    there = {_plain(name) for name in plain_names(take).names}
    found = [one for rules in _programs().values() if (one := _filled(rules, there))]
    return found[0] if len(found) == 1 else None


def joints_of(take: Bvh, joints: JointMap) -> Floats:
    """Return the 17 joints in metres, y up, (F, 17, 3); the thigh tells the unit.

    Raises:
        DataError: a joint of the map is missing, or no unit makes the thighs an adult's.
    """
    names = [_plain(name) for name in plain_names(take).names]
    plain = {joint: tuple(map(_plain, points)) for joint, points in joints.items()}
    try:
        found_FJ3 = pick(take.positions(), names, plain)
    except DataError as error:
        raise DataError(f"{take.file}: {error}") from None
    place = {joint: found_FJ3[:, number] for number, joint in enumerate(JOINTS)}
    bone = place["right_hip"] - place["right_knee"]
    thigh = float(np.median(np.linalg.norm(bone, axis=-1)))
    fitting = [metres for metres in METRES.values() if _THIGH[0] <= thigh * metres <= _THIGH[1]]
    if len(fitting) != 1:
        raise DataError(
            f"{take.file}: the right thigh is {thigh:.3g} units long, an adult's in none of "
            f"{', '.join(METRES)}; scale the file, or correct the map if joints are mixed up"
        )
    rise = np.abs(place["head"][0] - place["pelvis"][0])
    upright_FJ3 = z_up_to_y_up(found_FJ3) if rise[2] == rise.max() else found_FJ3
    return upright_FJ3 * fitting[0]


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]", "", name).casefold()


@cache
def _programs() -> dict[str, dict[str, Any]]:
    return tomllib.loads(files("poise.mocap").joinpath("skeletons.toml").read_text("utf-8"))


def _filled(rules: dict[str, Any], there: set[str]) -> JointMap | None:
    found: dict[str, tuple[str, ...]] = {}
    for side in ("left", "right"):
        for limb in _LIMBS:
            found[f"{side}_{limb}"] = (_plain(rules[limb].replace("{S}", side)),)
    for joint in _MIDDLE:
        found[joint] = tuple(_plain(name) for name in rules[joint] if _plain(name) in there)[:1]
    found["pelvis"] = found["left_hip"] + found["right_hip"]
    whole = all(names and set(names) <= there for names in found.values())
    return found if whole else None
