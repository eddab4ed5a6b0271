"""BVH skeletons of other programs, by built-in maps and one's own."""

import re
from pathlib import Path

import numpy as np
import pytest
from tests.support.takes import write_person

from poise.mocap.clip import JOINTS
from poise.mocap.formats.bvh import read_bvh
from poise.mocap.formats.kinematics import Floats
from poise.mocap.skeleton_map import best_map, joints_of, known_map, read_skeleton_map
from poise.runtime.errors import DataError

ARM = "{S}Arm {S}ForeArm {S}Hand"
#: Pelvis, spine, thorax, neck, head; hip, knee, ankle, shoulder, elbow, wrist of a side.
PROGRAMS = {
    "Mixamo": ("Hips Spine1 Neck Head HeadTop_End", "{S}UpLeg {S}Leg {S}Foot " + ARM),
    "Rokoko": ("Hips Spine2 Neck Head Head_end", "{S}Thigh {S}Shin {S}Foot " + ARM),
    "SOMA": ("Root Spine2 Neck1 Head Head_end", "{S}Leg {S}Shin {S}Foot " + ARM),
    "Xsens": (
        "Hips Chest2 Neck Head Head_end",
        "{S}Hip {S}Knee {S}Ankle {S}Shoulder {S}Elbow {S}Wrist",
    ),
    "MVNX": (
        "Pelvis T12 Neck Head Head_end",
        "{S}UpperLeg {S}LowerLeg {S}Foot {S}UpperArm {S}ForeArm {S}Hand",
    ),
    "Unity": (
        "hips spine neck head head_end",
        "{S}UpperLeg {S}LowerLeg {S}Foot {S}UpperArm {S}LowerArm {S}Hand",
    ),
    "VRoid": (
        "J_Bip_C_Hips J_Bip_C_Chest J_Bip_C_Neck J_Bip_C_Head J_Bip_C_Head_end",
        "J_Bip_{L}_UpperLeg J_Bip_{L}_LowerLeg J_Bip_{L}_Foot "
        "J_Bip_{L}_UpperArm J_Bip_{L}_LowerArm J_Bip_{L}_Hand",
    ),
    "Unreal": (
        "pelvis spine_02 neck_01 head head_end",
        "thigh_{l} calf_{l} foot_{l} upperarm_{l} lowerarm_{l} hand_{l}",
    ),
    "Biped": (
        "Bip01~Pelvis Bip01~Spine1 Bip01~Neck Bip01~Head Bip01~HeadNub",
        "Bip01~{L}~Thigh Bip01~{L}~Calf Bip01~{L}~Foot "
        "Bip01~{L}~UpperArm Bip01~{L}~Forearm Bip01~{L}~Hand",
    ),
    "Character Creator": (
        "CC_Base_Pelvis CC_Base_Spine01 CC_Base_NeckTwist01 CC_Base_Head CC_Base_Head_end",
        "CC_Base_{L}_Thigh CC_Base_{L}_Calf CC_Base_{L}_Foot "
        "CC_Base_{L}_Upperarm CC_Base_{L}_Forearm CC_Base_{L}_Hand",
    ),
    "Biped with hyphens": (
        "Bip001-Pelvis Bip001-Spine1 Bip001-Neck Bip001-Head Bip001-Head_end",
        "Bip001-{L}-Thigh Bip001-{L}-Calf Bip001-{L}-Foot "
        "Bip001-{L}-UpperArm Bip001-{L}-Forearm Bip001-{L}-Hand",
    ),
    "Genesis 8": (
        "pelvis abdomenUpper neckLower head head_end",
        "{l}ThighBend {l}Shin {l}Foot {l}ShldrBend {l}ForearmBend {l}Hand",
    ),
    "Bento": (
        "mPelvis mTorso mNeck mHead mSkull",
        "mHip{S} mKnee{S} mAnkle{S} mShoulder{S} mElbow{S} mWrist{S}",
    ),
    "Human3.6M": (
        "Hip Spine Thorax Neck Head",
        "{S}Hip {S}Knee {S}Ankle {S}Shoulder {S}Elbow {S}Wrist",
    ),
    "Kinect": (
        "SpineBase SpineMid SpineShoulder Neck Head",
        "Hip{S} Knee{S} Ankle{S} Shoulder{S} Elbow{S} Wrist{S}",
    ),
    "Azure Kinect": (
        "PELVIS SPINE_NAVAL NECK HEAD HEAD_end",
        "HIP_{S} KNEE_{S} ANKLE_{S} SHOULDER_{S} ELBOW_{S} WRIST_{S}",
    ),
    "Renamed LaFAN1": (
        "Hips Spine1 Neck Head Head_end",
        "Thigh_{L} Shin_{L} Foot_{L} UpperArm_{L} Forearm_{L} Hand_{L}",
    ),
    "Motive": ("Hip Ab Neck Head Head_end", "{L}Thigh {L}Shin {L}Foot {L}UArm {L}FArm {L}Hand"),
    "SMPL": (
        "m_avg_Pelvis spine1 left_collar neck head",
        "{S}_hip {S}_knee {S}_ankle {S}_shoulder {S}_elbow {S}_wrist",
    ),
    "Daz": (
        "hip abdomen lCollar head head_end",
        "{L}~Thigh {l}Shin {l}Foot {l}Shldr {l}ForeArm {L}Hand",
    ),
    "Blender": (
        "hips spine.002 neck head head_end",
        "thigh.{L} shin.{L} foot.{L} upper_arm.{L} forearm.{L} hand.{L}",
    ),
}

TITLES = {
    "Character Creator": "Biped",
    "Biped with hyphens": "Biped",
    "Genesis 8": "Daz",
    "Renamed LaFAN1": "Blender",
}
#: Where the middle of both collars is the thorax: the right one.
COLLARS = {"SMPL": "right_collar", "Daz": "rCollar"}


def names_of(program: str, prefix: str = "") -> dict[str, str]:
    middle, limbs = PROGRAMS[program]
    names = dict(zip(("pelvis", "spine", "thorax", "neck", "head"), middle.split(), strict=True))
    for side in ("left", "right"):
        letters = {"S": side.capitalize(), "L": side[0].upper(), "l": side[0]}
        for part, name in zip(
            ("hip", "knee", "ankle", "shoulder", "elbow", "wrist"), limbs.split(), strict=True
        ):
            names[f"{side}_{part}"] = name.format(**letters)
    return {joint: prefix + name.replace("~", " ") for joint, name in names.items()}


def converted(file: Path, unit: str = "") -> Floats:
    take = read_bvh(file)
    joints = known_map(take)
    assert joints is not None
    return joints_of(take, joints, unit)[0]


def place(joints_FJ3: Floats, joint: str) -> Floats:
    found: Floats = joints_FJ3[0, JOINTS.index(joint)].round(6)
    return found


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("metres", [1.0, 0.01, 0.0254])
def test_names_of_a_program_are_known(tmp_path: Path, program: str, metres: float) -> None:
    more = {COLLARS[program]: "thorax"} if program in COLLARS else {}
    file = write_person(tmp_path / "take.bvh", names_of(program), metres, more=more)
    assert best_map(read_bvh(file).names)[0] == TITLES.get(program, program)
    joints_FJ3 = converted(file)
    heights = {"pelvis": 1, "spine": 1.2, "thorax": 1.5, "neck": 1.6, "head": 1.8}
    for joint, height in heights.items():
        np.testing.assert_allclose(place(joints_FJ3, joint), [0, height, 0], atol=1e-4)
    np.testing.assert_allclose(place(joints_FJ3, "left_knee"), [0.1, 0.55, 0], atol=1e-4)
    np.testing.assert_allclose(place(joints_FJ3, "right_wrist"), [-0.75, 1.45, 0], atol=1e-4)


@pytest.mark.parametrize(
    "prefix", ["mixamorig:", "mixamorig_", "mixamorig1:", "Character1_", "Anna:", "set|Anna:"]
)
def test_prefixes_mean_nothing(tmp_path: Path, prefix: str) -> None:
    plain = converted(write_person(tmp_path / "plain.bvh", names_of("Mixamo")))
    file = write_person(tmp_path / "take.bvh", names_of("Mixamo", prefix))
    np.testing.assert_array_equal(converted(file), plain)


@pytest.mark.parametrize(
    ("axes", "notes"),
    [
        ("x y z", 0),
        ("x -z y", 0),
        ("x -y -z", 1),
        ("x z -y", 1),
    ],
    ids=["y up", "z up", "y down", "z down"],
)
def test_people_are_set_upright(tmp_path: Path, axes: str, notes: int) -> None:
    file = write_person(tmp_path / "take.bvh", names_of("Mixamo"))
    plain = converted(file)

    def turned(found: re.Match[str]) -> str:
        x, y, z = map(float, found[2].split()[:3])
        place = {"x": x, "y": y, "z": z, "-y": -y, "-z": -z}
        return " ".join([found[1], *(f"{place[axis]:g}" for axis in axes.split())])

    text = re.sub(r"(OFFSET) (.*)", turned, file.read_text())
    file.write_text(re.sub(r"(?m)^()(0 100 0(?= 0 0))", turned, text).replace("\n ", "\n"))
    take = read_bvh(file)
    joints = known_map(take)
    assert joints is not None
    found, said = joints_of(take, joints)
    np.testing.assert_allclose(found, plain, atol=1e-9)
    assert len(said) == notes


@pytest.mark.parametrize("program", PROGRAMS)
def test_joints_that_are_not_there_are_missing(tmp_path: Path, program: str) -> None:
    names = names_of(program)
    more = {COLLARS[program]: "thorax"} if program in COLLARS else {}
    whole = converted(write_person(tmp_path / "whole.bvh", names, more=more))
    gone = ("head", "left_wrist", "right_ankle")
    for joint in gone:
        del names[joint]
    found = converted(write_person(tmp_path / "take.bvh", names, more=more))
    absent = [joint in gone for joint in JOINTS]
    assert np.isnan(found[:, absent]).all()
    kept = [not one for one in absent]
    np.testing.assert_allclose(found[:, kept], whole[:, kept], atol=1e-9)


def test_joints_of_one_name_are_missing_alone(tmp_path: Path) -> None:
    names = names_of("Unity")
    file = write_person(
        tmp_path / "take.bvh", names | {"left_wrist": "hand", "right_wrist": "hand"}
    )
    assert "several joints are called hand" in read_bvh(file).notes[0]
    found = converted(file)
    absent = ["wrist" in joint for joint in JOINTS]
    np.testing.assert_array_equal(np.isnan(found).all(axis=(0, 2)), absent)


@pytest.mark.parametrize("gone", [["left_knee"], ["right_hip"], ["thorax"]])
def test_too_little_of_a_person_is_not_known(tmp_path: Path, gone: list[str]) -> None:
    names = {joint: name for joint, name in names_of("Mixamo").items() if joint not in gone}
    assert known_map(read_bvh(write_person(tmp_path / "take.bvh", names))) is None


def test_cmu_without_a_hand_is_no_other_programs(tmp_path: Path) -> None:
    names = names_of("Mixamo") | {"spine": "Spine"}
    file = write_person(tmp_path / "take.bvh", names, more={"LHipJoint": "pelvis"})
    assert known_map(read_bvh(file)) is None  # its neck is 110 mm too low


def test_no_unit_is_guessed_and_any_can_be_said(tmp_path: Path) -> None:
    file = write_person(tmp_path / "take.bvh", names_of("Mixamo"), metres=0.1)
    with pytest.raises(DataError, match="an adult's in none of m, cm, mm, in; say with --unit"):
        converted(file)
    said = converted(file, "cm")
    np.testing.assert_allclose(place(said, "pelvis"), [0, 0.1, 0], atol=1e-6)


def test_a_map_of_ones_own(tmp_path: Path) -> None:
    names = {joint: f"Anna:x{n}" for n, joint in enumerate(JOINTS)}
    take = read_bvh(write_person(tmp_path / "take.bvh", names))
    assert known_map(take) is None
    file = tmp_path / "map.toml"
    lines = {joint: f'{joint} = ["{name}"]\n' for joint, name in names.items()}
    file.write_text("".join(lines.values()))
    whole = joints_of(take, read_skeleton_map(file))[0]
    np.testing.assert_allclose(place(whole, "head"), [0, 1.8, 0], atol=1e-4)
    file.write_text("".join((lines | {"head": "head = []\n"}).values()))
    lacking = joints_of(take, read_skeleton_map(file))[0]
    assert np.isnan(place(lacking, "head")).all()
    np.testing.assert_array_equal(place(lacking, "neck"), place(whole, "neck"))


@pytest.mark.parametrize("joint", ["right_knee", "left_hip"])
def test_a_map_says_where_hips_and_knees_are(tmp_path: Path, joint: str) -> None:
    file = tmp_path / "map.toml"
    lines = {one: f'{one} = "{one}"\n' for one in JOINTS} | {joint: f"{joint} = []\n"}
    file.write_text("".join(lines.values()))
    with pytest.raises(DataError, match=f"joint {joint} is unknown or names no joints"):
        read_skeleton_map(file)
