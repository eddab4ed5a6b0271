"""What became of a motion, against cases worked out by hand."""

import math

import pytest
import torch
from torch import Tensor

from poise.catalog.tracks import Track
from poise.evaluation.motion import MotionErrors, motion_errors, pool_motion

UIPRMD = Track.parse("uiprmd/kinect/3D").info
CMU = Track.parse("cmu/gaussian-10/3D").info
IMAGE = Track.parse("h36m/hourglass/2D").info
LEFT_ANKLE, LEFT_WRIST = 6, 13


def body(frames: int = 10) -> Tensor:
    """A person (F, 17, 3) whose left wrist swings by 90 mm in x, 10 mm a frame."""
    poses = torch.zeros(frames, 17, 3)
    poses[:] = torch.randn(17, 3, generator=torch.Generator().manual_seed(0))
    poses[:, 0] = 0
    poses[:, LEFT_WRIST, 0] += 0.01 * torch.arange(frames)
    return poses


def measured(refined: Tensor, truth: Tensor, untrue: Tensor | None = None) -> MotionErrors:
    found = motion_errors(refined.flatten(1), truth.flatten(1), UIPRMD, untrue_FJ=untrue)
    assert found is not None
    return found


def test_a_motion_is_all_there_in_itself() -> None:
    found = measured(body(), body())
    assert (found.precision, found.velocity) == (0, 0)
    assert found.range_kept == found.peak_kept == pytest.approx(100)
    assert (found.pck_150, found.auc) == (100, 100)
    assert math.isnan(found.foot_slide)
    assert all(math.isnan(share) for share in found.pck)


def test_a_constant_error_of_a_joint_is_forgiven() -> None:
    refined = body()
    refined[:, 5, 1] += 0.3
    found = measured(refined, body())
    assert found.precision == pytest.approx(0, abs=1e-4)
    assert found.velocity == pytest.approx(0, abs=1e-4)


def test_an_error_of_17_mm_to_and_fro_is_one_mm_and_two_a_frame() -> None:
    refined = body()
    refined[::2, 5, 1] += 0.017
    refined[1::2, 5, 1] -= 0.017
    found = measured(refined, body())
    assert found.precision == pytest.approx(1, rel=1e-4)
    assert found.velocity == pytest.approx(2, rel=1e-4)


def test_half_a_swing_keeps_half_the_range_and_half_the_speed() -> None:
    truth, refined = body(), body()
    middle = truth[:, LEFT_WRIST].mean(0)
    refined[:, LEFT_WRIST] = middle + (truth[:, LEFT_WRIST] - middle) / 2
    # What is off across the swing takes nothing from its range.
    refined[:, LEFT_WRIST, 2] += torch.tensor([0.0, 0.02]).repeat(5)
    found = measured(refined, truth)
    assert found.range_kept == pytest.approx(50, rel=1e-4)
    assert found.ranges_2J[:, LEFT_WRIST].tolist() == pytest.approx([45, 90], rel=1e-4)
    assert found.peaks_2J[:, LEFT_WRIST].tolist() == pytest.approx([425**0.5, 10], rel=1e-4)
    plain = found.to_json(UIPRMD.joint_names)
    assert plain["range_kept_by_joint"] == {"left_wrist": pytest.approx(50, rel=1e-4)}
    assert plain["foot_slide"] is None


def test_a_bone_that_grows_and_shrinks_spreads_by_its_share() -> None:
    refined = body()
    along = refined[:, LEFT_ANKLE] - refined[:, LEFT_ANKLE - 1]
    along = along / along.norm(dim=-1, keepdim=True)
    still = measured(refined, body()).bone_spread
    refined[::2, LEFT_ANKLE] += 0.016 * along[::2]
    refined[1::2, LEFT_ANKLE] -= 0.016 * along[1::2]
    found = measured(refined, body())
    assert found.bone_spread - still == pytest.approx(1, rel=1e-3)  # one of 16 bones, 16 mm


def test_joints_within_150_mm_and_the_area_below() -> None:
    refined = body()
    refined[:, 1, 0] += 0.074  # within 75 mm and more: 16 of 31 thresholds
    refined[:, 2, 0] += 0.2  # never
    found = measured(refined, body())
    assert found.pck_150 == pytest.approx(100 * 16 / 17)
    assert found.auc == pytest.approx(100 * (15 + 16 / 31) / 17)


def test_what_is_not_known_of_the_truth_is_not_measured() -> None:
    refined = body()
    untrue = torch.zeros(10, 17, dtype=torch.bool)
    untrue[4:6, LEFT_WRIST] = True
    refined[4:6, LEFT_WRIST] += 7
    found = measured(refined, body(), untrue)
    assert (found.precision, found.velocity) == (0, 0)
    assert found.range_kept == found.peak_kept == pytest.approx(100)
    nothing = motion_errors(
        body().flatten(1), body().flatten(1), UIPRMD, untrue_FJ=torch.ones(10, 17, dtype=torch.bool)
    )
    assert nothing is None
    assert pool_motion([nothing]) is None


def test_feet_that_stand_slide_by_what_they_move_level() -> None:
    # y is up: the left foot stands, the right one is in the air, and the body goes on.
    truth = body()
    truth[..., 1] = 1.0
    truth[:, LEFT_ANKLE, 1] = 0
    truth[:, :, 2] += 0.02 * torch.arange(10)[:, None]
    truth[:, LEFT_ANKLE, 2] = 0
    refined = truth.clone()
    refined[:, LEFT_ANKLE, 2] += 0.003 * torch.arange(10)
    refined[:, LEFT_ANKLE, 1] += 0.01 * torch.arange(10)
    found = motion_errors(refined.flatten(1), truth.flatten(1), CMU)
    assert found is not None
    assert found.foot_slide == pytest.approx(3, rel=1e-4)
    assert found.stood == 9


def test_joints_in_images_are_within_shares_of_the_persons_box() -> None:
    truth = torch.zeros(4, 16, 2)
    truth[:, 0, 1], truth[:, 1, 0] = 1.0, 0.5  # the box is 1 high
    refined = truth.clone()
    refined[:, 2, 0], refined[:, 3, 0] = 0.08, 0.3
    found = motion_errors(refined.flatten(1), truth.flatten(1), IMAGE)
    assert found is not None
    assert found.pck == pytest.approx((100 * 14 / 16, 100 * 15 / 16, 100 * 15 / 16))
    assert math.isnan(found.auc)
    assert math.isnan(found.bone_spread)


@pytest.mark.parametrize("frames", [1, 2])
def test_short_sequences_are_measured_as_far_as_they_go(frames: int) -> None:
    found = measured(body(frames), body(frames))
    assert found.precision == 0
    assert math.isnan(found.velocity) == (frames == 1)


def test_sequences_count_by_frames_and_joints_by_their_range() -> None:
    calm = body(40)
    calm[:, LEFT_WRIST] = calm[:, LEFT_WRIST].mean(0)  # all of 390 mm is gone
    pooled = pool_motion([measured(body(10), body(10)), None, measured(calm, body(40))])
    assert pooled is not None
    assert pooled.frames == 50
    assert pooled.precision == pytest.approx(measured(calm, body(40)).precision * 40 / 50)
    assert pooled.range_kept == pytest.approx(100 * 90 / 480, rel=1e-4)
