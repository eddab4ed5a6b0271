"""The joints of pose estimators."""

import pytest

from poise.catalog.joint_sets import joint_sets, of_count, of_names, plain_joint, plain_joints


def test_every_set_has_different_joints_and_whole_bones() -> None:
    for name, one in joint_sets().items():
        assert len(set(one.joints)) == len(one.joints), name
        assert one.bones, name
        assert all(0 <= place < len(one.joints) for bone in one.bones for place in bone), name
        assert len(set(one.bones)) == len(one.bones), name


@pytest.mark.parametrize("side", ["left_", "right_"])
def test_sides_are_equal(side: str) -> None:
    other = {"left_": "right_", "right_": "left_"}[side]
    for name, one in joint_sets().items():
        mirrored = {joint.replace(side, other) for joint in one.joints if joint.startswith(side)}
        assert mirrored <= set(one.joints), name


@pytest.mark.parametrize(
    ("spelt", "plain"),
    [
        ("RHip", "right_hip"),
        ("hip_right", "right_hip"),
        ("HipRight", "right_hip"),
        ("Left Shoulder", "left_shoulder"),
        ("LEFT_EYE_INNER", "left_eye_inner"),
        ("LBigToe", "left_big_toe"),
        ("MOUTH_LEFT", "mouth_left"),
        ("body_left_knee", "left_knee"),
        ("MidHip", "pelvis"),
        ("Hip", "pelvis"),
        ("spine1", "spine1"),
        ("tail", "tail"),
        ("", ""),
    ],
)
def test_joints_are_known_however_they_are_spelt(spelt: str, plain: str) -> None:
    assert plain_joint(spelt) == plain


@pytest.mark.parametrize(
    ("spelt", "plain"),
    [
        (
            "Hips LeftShoulder LeftArm LeftForeArm LeftHand LeftUpLeg LeftLeg LeftFoot LeftToeBase",
            "pelvis left_collar left_shoulder left_elbow left_wrist left_hip left_knee left_ankle "
            "left_foot",
        ),
        (
            "LeftShoulder LeftArm LeftForeArm LeftThigh LeftShin LeftFoot LeftToe Head",
            "left_collar left_shoulder left_elbow left_hip left_knee left_ankle left_foot head",
        ),
        (
            "root neck_1_joint left_shoulder_1_joint left_forearm_joint left_hand_joint "
            "left_upLeg_joint left_leg_joint left_foot_joint left_eye_joint head_joint",
            "pelvis neck left_shoulder left_elbow left_wrist left_hip left_knee left_ankle "
            "left_eye head",
        ),
        (
            "hips_joint left_shoulder_1_joint left_arm_joint left_forearm_joint spine_1_joint",
            "pelvis left_collar left_shoulder left_elbow spine_1_joint",
        ),
        ("LHip RBigToe LToe left_arm", "left_hip right_big_toe left_foot left_arm"),
    ],
    ids=["Mixamo", "Rokoko", "Vision", "ARKit", "others"],
)
def test_joints_named_by_the_bone_behind_them_are_known_together(spelt: str, plain: str) -> None:
    assert plain_joints(spelt.split()) == plain.split()


def test_sets_are_found_by_count_and_by_names() -> None:
    assert [one.name for one in of_count(33)] == ["mediapipe33"]
    assert [one.name for one in of_count(17)] == ["coco17", "h36m17", "mpi17"]
    named = of_names([name.upper() for name in joint_sets()["coco17"].joints])
    assert named is not None
    assert named.name == "coco17"
    shuffled = of_names(joint_sets()["halpe26"].joints[::-1])
    assert shuffled is not None
    assert shuffled.name == "halpe26"
    assert of_names(["tail", "nose"]) is None
    assert len(joint_sets()["wholebody133"].joints) == 133
    assert len(joint_sets()["halpe136"].joints) == 136
