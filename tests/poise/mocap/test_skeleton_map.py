"""BVH skeletons of other programs, by built-in maps and one's own."""

from pathlib import Path

import numpy as np
import pytest

from poise.mocap.clip import JOINTS
from poise.mocap.formats.bvh import Bvh, Joint
from poise.mocap.skeleton_map import joints_of, known_map, read_skeleton_map
from poise.runtime.errors import DataError

NAMES = [
    "Hips",
    "Spine",
    "Spine1",
    "Neck",
    "Head",
    "Head_end",
    "LeftArm",
    "LeftForeArm",
    "LeftHand",
    "RightArm",
    "RightForeArm",
    "RightHand",
    "LeftUpLeg",
    "LeftLeg",
    "LeftFoot",
    "RightUpLeg",
    "RightLeg",
    "RightFoot",
]
PARENTS = [-1, 0, 1, 2, 3, 4, 2, 6, 7, 2, 9, 10, 0, 12, 13, 0, 15, 16]


def mixamo(metres: float, prefix: str = "mixamorig:", up: int = 1) -> Bvh:
    joints = []
    for name, parent in zip(NAMES, PARENTS, strict=True):
        offset = np.zeros(3)
        offset[0] = {"L": 0.1, "R": -0.1}.get(name[0], 0.0) if parent >= 0 else 0
        offset[up] = -0.4 if "Leg" in name or "Foot" in name else 0.2
        channels = ("xposition", "yposition", "zposition") if parent < 0 else ()
        joints.append(Joint(prefix + name, parent, offset / metres, channels))
    return Bvh(Path("take.bvh"), tuple(joints), np.zeros((4, 3)), 60)


@pytest.mark.parametrize("metres", [1, 0.01, 0.001, 0.0254])
@pytest.mark.parametrize("prefix", ["", "mixamorig:", "mixamorig_", "mixamorig1:", "Character1_"])
@pytest.mark.parametrize("up", [1, 2])
def test_names_of_a_program_are_known(metres: float, prefix: str, up: int) -> None:
    take = mixamo(metres, prefix, up)
    joints = known_map(take)
    assert joints is not None
    found = joints_of(take, joints)[0]
    knee = found[JOINTS.index("right_hip")] - found[JOINTS.index("right_knee")]
    np.testing.assert_allclose(knee[1], 0.4, atol=1e-9)


def test_no_unit_is_guessed(tmp_path: Path) -> None:
    take = mixamo(0.1)
    joints = known_map(take)
    assert joints is not None
    with pytest.raises(DataError, match="an adult's in none of m, cm, mm, in;"):
        joints_of(take, joints)


def test_a_map_of_ones_own(tmp_path: Path) -> None:
    take = mixamo(0.01, "x_")
    assert known_map(take) is None
    file = tmp_path / "map.toml"
    known = known_map(mixamo(0.01, ""))
    assert known is not None
    file.write_text("".join(f'{j} = ["x_{n[0]}"]\n' for j, n in known.items() if j != "pelvis"))
    found = joints_of(take, read_skeleton_map(file))
    np.testing.assert_allclose(found, joints_of(mixamo(0.01, ""), known))
    file.write_text('right_hip = "x_RightUpLeg"\n')
    with pytest.raises(DataError, match="joint right_knee is unknown or names no joints"):
        read_skeleton_map(file)
