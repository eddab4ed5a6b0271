"""Small motion capture files that the tests make themselves, and the real ones where they are."""

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

_BONES = {
    # name: parent, direction, length, axis, dof
    "lhipjoint": ("root", (0.69, -0.65, 0.32), 2.7, (0, 0, 0), ""),
    "lfemur": ("lhipjoint", (0.34, -0.94, 0.0), 6.9, (0, 0, 20), "rx ry rz"),
    "ltibia": ("lfemur", (0.34, -0.94, 0.0), 7.4, (0, 0, 20), "rx"),
    "rhipjoint": ("root", (-0.66, -0.68, 0.33), 2.6, (0, 0, 0), ""),
    "rfemur": ("rhipjoint", (-0.34, -0.94, 0.0), 7.1, (0, 0, -20), "rx ry rz"),
    "rtibia": ("rfemur", (-0.34, -0.94, 0.0), 7.1, (0, 0, -20), "rx"),
    "lowerback": ("root", (-0.01, 1.0, -0.02), 2.2, (0, 0, 0), "rx ry rz"),
    "upperback": ("lowerback", (0.02, 1.0, -0.09), 2.2, (0, 0, 0), "rx ry rz"),
    "thorax": ("upperback", (0.03, 1.0, -0.08), 2.2, (0, 0, 0), "rx ry rz"),
    "lowerneck": ("thorax", (-0.08, 0.98, 0.19), 1.8, (0, 0, 0), "rx ry rz"),
    "upperneck": ("lowerneck", (0.05, 0.98, -0.2), 1.8, (0, 0, 0), "rx ry rz"),
    "head": ("upperneck", (0.04, 1.0, -0.1), 1.8, (0, 0, 0), "rx ry rz"),
    "lclavicle": ("thorax", (0.95, 0.3, -0.1), 3.6, (0, 0, 0), "ry rz"),
    "lhumerus": ("lclavicle", (1.0, 0.0, 0.0), 5.0, (180, 30, 90), "rx ry rz"),
    "lradius": ("lhumerus", (1.0, 0.0, 0.0), 3.4, (180, 30, 90), "rx"),
    "rclavicle": ("thorax", (-0.95, 0.3, -0.1), 3.6, (0, 0, 0), "ry rz"),
    "rhumerus": ("rclavicle", (-1.0, 0.0, 0.0), 5.1, (180, -30, -90), "rx ry rz"),
    "rradius": ("rhumerus", (-1.0, 0.0, 0.0), 3.3, (180, -30, -90), "rx"),
}

#: Tests of commands take it out of their own environment.
_DATA = os.environ.get("POISE_DATA")


def real_takes() -> Path:
    """Return the folder of CMU's own files; skip the test where there is none."""
    if not _DATA or not (Path(_DATA) / "mocap_raw").is_dir():
        pytest.skip("POISE_DATA has no mocap_raw")
    return Path(_DATA) / "mocap_raw"


def write_asf(path: Path, length: float = 0.45) -> Path:
    """Write the skeleton of a made-up adult."""
    bones = "".join(
        f"  begin\n     id {number}\n     name {name}\n     direction {_row(direction)}\n"
        f"     length {size}\n     axis {_row(axis)}  XYZ\n{_dof(dof)}  end\n"
        for number, (name, (_, direction, size, axis, dof)) in enumerate(_BONES.items(), start=1)
    )
    children: dict[str, list[str]] = {}
    for name, (parent, *_) in _BONES.items():
        children.setdefault(parent, []).append(name)
    tree = "".join(f"    {parent} {' '.join(names)}\n" for parent, names in children.items())
    path.write_text(
        f"# made up\n:version 1.10\n:name VICON\n:units\n  mass 1.0\n  length {length}\n"
        "  angle deg\n:documentation\n   none\n:root\n   order TX TY TZ RX RY RZ\n   axis XYZ\n"
        f"   position 0 0 0\n   orientation 0 0 0\n:bonedata\n{bones}:hierarchy\n  begin\n{tree}"
        "  end\n"
    )
    return path


def write_amc(path: Path, frames: int = 24, first: int = 1, seed: int = 0) -> Path:
    """Write a take for `write_asf`: everything swings a little."""
    rng = np.random.default_rng(seed)
    lines = ["#!OML:ASF H:\\made\\up.ASF", ":FULLY-SPECIFIED", ":DEGREES"]
    turns = {name: dof.split() for name, (*_, dof) in _BONES.items() if dof}
    phases = {name: rng.uniform(0, 6, len(dof)) for name, dof in turns.items()}
    for frame in range(frames):
        lines.append(str(first + frame))
        lines.append(f"root {frame * 0.1:.5f} 16.0 -1.5 3.0 {frame * 0.5:.4f} -2.0")
        for name, phase in phases.items():
            angles = 25 * np.sin(frame / 10 + phase)
            lines.append(f"{name} {' '.join(f'{angle:.6g}' for angle in angles)}")
    path.write_text("\n".join(lines) + "\n")
    return path


def _row(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:g}" for value in values)


def _dof(dof: str) -> str:
    if not dof:
        return ""
    limits = "".join(f"           (-{90 + n}.0 {60 + n}.0)\n" for n in range(len(dof.split())))
    return f"    dof {dof}\n    limits {limits.lstrip()}"


def write_bvh(path: Path, frames: int = 24) -> Path:
    """Write a take of two joints."""
    tree = (
        "HIERARCHY\nROOT hip\n{\n  OFFSET 0 0 0\n"
        "  CHANNELS 6 Xposition Yposition Zposition Zrotation Yrotation Xrotation\n"
        "  JOINT knee\n  {\n    OFFSET 0 -4.5 0.25\n"
        "    CHANNELS 3 Zrotation Xrotation Yrotation\n"
        "    End Site\n    {\n      OFFSET 0 -4 0\n    }\n  }\n}\n"
    )
    rows = np.random.default_rng(5).uniform(-90, 90, (frames, 9)).round(4).tolist()
    motion = "\n".join(" ".join(map(str, row)) for row in rows)
    path.write_text(f"{tree}MOTION\nFrames:\t{frames}\nFrame Time:\t0.0083333\n{motion}\n")
    return path


#: A person who stands: joint, what it hangs on, and how far from it, in metres.
_PERSON = {
    "spine": ("pelvis", (0.0, 0.2, 0.0)),
    "thorax": ("spine", (0.0, 0.3, 0.0)),
    "neck": ("thorax", (0.0, 0.1, 0.0)),
    "head": ("neck", (0.0, 0.2, 0.0)),
}
for _side, _x in (("left", 1.0), ("right", -1.0)):
    _PERSON |= {
        f"{_side}_hip": ("pelvis", (0.1 * _x, 0.0, 0.0)),
        f"{_side}_knee": (f"{_side}_hip", (0.0, -0.45, 0.0)),
        f"{_side}_ankle": (f"{_side}_knee", (0.0, -0.45, 0.0)),
        f"{_side}_shoulder": ("thorax", (0.2 * _x, -0.05, 0.0)),
        f"{_side}_elbow": (f"{_side}_shoulder", (0.3 * _x, 0.0, 0.0)),
        f"{_side}_wrist": (f"{_side}_elbow", (0.25 * _x, 0.0, 0.0)),
    }


def write_person(
    path: Path,
    names: Mapping[str, str],
    metres: float = 0.01,
    frames: int = 4,
    more: Mapping[str, str] = MappingProxyType({}),
) -> Path:
    """Write a BVH of somebody who stands still, 1 m above the floor.

    Args:
        path: the file.
        names: what the 17 joints are called; one in ``_end`` is an end site; those without a name,
            and what hangs on them, are left out.
        metres: length of a unit.
        frames: how many, at 60 a second.
        more: further joints, and which of the 17 they coincide with.
    """
    turns = "CHANNELS 3 Zrotation Xrotation Yrotation"
    columns = 6

    def joint(name: str, offset: str, inner: list[str]) -> list[str]:
        nonlocal columns
        if name.endswith("_end"):
            return ["End Site", "{", offset, "}"]
        columns += 3
        return [f"JOINT {name}", "{", offset, turns, *inner, "}"]

    def below(parent: str) -> list[str]:
        lines = []
        for name, place in more.items():
            lines += joint(name, "OFFSET 0 0 0", []) if place == parent else []
        for own, (above, (x, y, z)) in _PERSON.items():
            if above == parent and own in names:
                offset = f"OFFSET {_row((x / metres, y / metres, z / metres))}"
                lines += joint(names[own], offset, below(own))
        return lines

    moves = "CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation"
    tree = [f"ROOT {names['pelvis']}", "{", "OFFSET 0 0 0", moves, *below("pelvis"), "}"]
    row = _row((0.0, 1 / metres, *[0.0] * (columns - 2)))
    motion = ["MOTION", f"Frames: {frames}", f"Frame Time: {1 / 60:.7f}", *[row] * frames]
    path.write_text("\n".join(["HIERARCHY", *tree, *motion]) + "\n")
    return path
