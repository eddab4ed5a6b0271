"""The general network: joints by name, any unit and place, and what it does not know."""

import math

import pytest
import torch
from tests.support.small_refiners import SMALL, network, sequence
from torch import Tensor

from poise_models.base.clip import Clip
from poise_models.base.pose_spec import PoseSpec
from poise_models.base.window_refiner import WindowRefiner
from poise_models.general.general import General
from poise_models.general.joints import JOINTS, places

COCO = (
    "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow "
    "right_elbow left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle "
    "right_ankle"
)
HAND = tuple(f"finger_{number}" for number in range(21))


def general(names: tuple[str, ...], dims: int = 3) -> WindowRefiner:
    """The same weights for every skeleton."""
    return network("general", PoseSpec(len(names), dims, names=names), **SMALL["general"])


def refined(built: WindowRefiner, poses_FC: Tensor) -> Tensor:
    return built.refine([Clip(poses_FC)])[0].poses_FC


@pytest.mark.parametrize(
    ("names", "joint", "place"),
    [
        (("left_hip", "neck"), "thorax", 1),
        (("neck", "thorax"), "thorax", 1),
        (("neck", "thorax"), "neck", 0),
        (("head", "head_top"), "head", 1),
        (("spine3", "spine1"), "spine", 1),
        (("nose", "left_eye"), "head", None),
    ],
)
def test_joints_are_found_by_name(names: tuple[str, ...], joint: str, place: int | None) -> None:
    assert places(names)[JOINTS.index(joint)] == place


def test_joints_in_another_order_are_the_same_joints() -> None:
    turned = tuple(reversed(JOINTS))
    poses_FJD = sequence(40, PoseSpec(17, 3)).unflatten(-1, (17, 3))
    straight = refined(general(JOINTS), poses_FJD.flatten(1))
    back = refined(general(turned), poses_FJD.flip(1).flatten(1))
    torch.testing.assert_close(back.unflatten(-1, (17, 3)).flip(1).flatten(1), straight)


@pytest.mark.parametrize("dims", [2, 3])
def test_what_a_skeleton_lacks_counts_as_not_seen(dims: int) -> None:
    names = tuple(COCO.split()[5:])
    poses_FJD = sequence(40, PoseSpec(17, dims)).unflatten(-1, (17, dims)).clone()
    lacks = [joint for joint, name in enumerate(JOINTS) if name not in names]
    poses_FJD[:, lacks] = math.nan
    picked = [JOINTS.index(name) for name in names]
    whole = refined(general(JOINTS, dims), poses_FJD.flatten(1)).unflatten(-1, (17, dims))
    few = refined(general(names, dims), poses_FJD[:, picked].flatten(1))
    torch.testing.assert_close(few.unflatten(-1, (len(names), dims)), whole[:, picked])


def test_joints_it_does_not_know_are_refined_apart_from_the_others() -> None:
    names = tuple(COCO.split())
    built = general(names)
    assert isinstance(built, General)
    assert built.knows == names[5:]
    poses_FJD = sequence(40, PoseSpec(17, 3)).unflatten(-1, (17, 3))
    other_FJD = poses_FJD.clone()
    other_FJD[20, 0] = math.nan
    before, after = (refined(built, one.flatten(1)) for one in (poses_FJD, other_FJD))
    change_J = (before - after).unflatten(-1, (17, 3)).abs().amax((0, 2))
    # The nose moves the mean that all are seen about, and nothing else of another joint.
    assert change_J[0] > 10 * change_J[1:].max()


@pytest.mark.parametrize("names", [JOINTS, tuple(COCO.split()), HAND])
def test_neither_unit_nor_place_matters(names: tuple[str, ...]) -> None:
    built = general(names)
    metres_FC = sequence(50, PoseSpec(len(names), 3))
    metres_FC[10:14, 3:6] = math.nan
    there = refined(built, 1000.0 * metres_FC + 3000.0)
    torch.testing.assert_close(
        (there - 3000.0) / 1000.0, refined(built, metres_FC), atol=1e-4, rtol=0
    )


def test_names_that_nobody_knows_are_a_skeleton_too() -> None:
    built = general(HAND)
    assert isinstance(built, General)
    assert built.knows == ()
    assert refined(built, sequence(9, PoseSpec(21, 3))).shape == (9, 63)
