"""Metrics against cases worked out by hand."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from poise.catalog.tracks import Track
from poise.evaluation.metrics import PoseErrors, pool, pose_errors
from poise.runtime.errors import DataError

UIPRMD = Track.parse("uiprmd/kinect/3D").info
CMU = Track.parse("cmu/gaussian-10/3D").info


def poses(frames: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(frames, 51, generator=torch.Generator().manual_seed(seed))


def test_a_perfect_sequence_has_no_error() -> None:
    truth = poses(20)
    found = pose_errors(truth, truth, UIPRMD)
    assert (found.mpjpe, found.accel, found.accel_interior) == (0, 0, 0)
    assert found.pa_mpjpe == pytest.approx(0, abs=1e-9)
    assert found.frames == 20


def test_one_joint_off_by_17_mm_is_one_mm() -> None:
    truth = poses(10)
    refined = truth.clone()
    refined[:, 30] += 0.017
    assert pose_errors(refined, truth, UIPRMD).mpjpe == pytest.approx(1.0, rel=1e-4)


def test_joints_without_truth_are_not_scored() -> None:
    truth = poses(10)
    refined = truth.clone()
    refined[:, 3:] += 0.01
    whole = pose_errors(refined, truth, UIPRMD)
    untrue = torch.zeros(10, 17, dtype=torch.bool)
    untrue[4:7, 13] = True
    refined[4:7, 39:42] += 5
    found = pose_errors(refined, truth, UIPRMD, untrue_FJ=untrue)
    assert found.mpjpe == pytest.approx(whole.mpjpe, rel=0.01)
    assert found.accel == pytest.approx(0, abs=1e-3)
    assert found.frames == 10
    none = pose_errors(refined, truth, UIPRMD, untrue_FJ=torch.zeros(10, 17, dtype=torch.bool))
    assert none == pose_errors(refined, truth, UIPRMD)


def test_joints_without_truth_take_no_part_in_the_alignment() -> None:
    truth = poses(10)
    untrue = torch.zeros(10, 17, dtype=torch.bool)
    untrue[:, 13] = untrue[4, 5] = True
    refined = 1.1 * truth
    refined[:, 39:42] = refined[4, 15:18] = 9.0
    found = pose_errors(refined, truth, UIPRMD, untrue_FJ=untrue)
    assert found.pa_mpjpe == pytest.approx(0, abs=1e-2)


def test_frames_whose_root_has_no_truth_are_not_scored() -> None:
    truth = poses(10)
    refined = truth.clone()
    refined[2] += torch.randn(51)
    untrue = torch.zeros(10, 17, dtype=torch.bool)
    untrue[2, 0] = True
    found = pose_errors(refined, truth, UIPRMD, untrue_FJ=untrue)
    assert found.mpjpe == pytest.approx(0, abs=1e-6)
    nothing = pose_errors(refined, truth, UIPRMD, untrue_FJ=torch.ones(10, 17, dtype=torch.bool))
    assert nothing.frames == 0
    assert pool([found, nothing]) == found
    with pytest.raises(DataError, match="nothing to score"):
        pool([nothing])


def test_a_shift_of_the_whole_body_costs_nothing() -> None:
    truth = poses(10)
    assert pose_errors(truth + 3.0, truth, UIPRMD).mpjpe == pytest.approx(0, abs=1e-3)


def test_an_error_of_the_root_counts_for_every_other_joint() -> None:
    truth = poses(10)
    refined = truth.clone()
    refined[:, 0] += 0.017
    assert pose_errors(refined, truth, UIPRMD).mpjpe == pytest.approx(16.0, rel=1e-4)


def test_a_denoise_track_is_relative_to_the_mean_of_joints_2_and_3() -> None:
    truth = poses(10)
    refined = truth.clone()
    refined[:, 6] += 0.034  # joint 2: half of it moves the root
    assert pose_errors(refined, truth, CMU).mpjpe == pytest.approx(17.0, rel=1e-4)


def test_a_jump_of_one_frame_bends_three_and_the_ends_are_zero() -> None:
    truth = torch.zeros(10, 51)
    refined = truth.clone()
    refined[5, 3] = 0.017  # one joint of 17, 17 mm: 1 mm of error, bends of 1, 2 and 1 mm
    found = pose_errors(refined, truth, UIPRMD)
    assert found.accel == pytest.approx(4 / 10, rel=1e-5)
    assert found.accel_interior == pytest.approx(4 / 8, rel=1e-5)


@given(scale=st.floats(0.5, 2), angle=st.floats(-3, 3))
def test_pa_mpjpe_forgives_any_similarity(scale: float, angle: float) -> None:
    truth = poses(5)
    c, s = torch.cos(torch.tensor(angle)), torch.sin(torch.tensor(angle))
    rotation = torch.tensor([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    moved = (scale * truth.reshape(-1, 17, 3) @ rotation).reshape(5, 51) + 0.5
    assert pose_errors(moved, truth, UIPRMD).pa_mpjpe == pytest.approx(0, abs=1e-2)


def test_pa_mpjpe_does_not_forgive_a_mirror_image() -> None:
    truth = poses(5)
    mirrored = truth.reshape(-1, 17, 3) * torch.tensor([-1.0, 1, 1])
    assert pose_errors(mirrored.reshape(5, 51), truth, UIPRMD).pa_mpjpe > 100


def test_two_dims_are_neither_centred_nor_metric() -> None:
    info = Track.parse("h36m/hourglass/2D").info
    truth = torch.zeros(6, 32)
    assert pose_errors(truth + 1 / 500, truth, info).mpjpe == pytest.approx(2**0.5, rel=1e-5)


@pytest.mark.parametrize("frames", [1, 2])
def test_sequences_without_a_second_difference_have_no_acceleration(frames: int) -> None:
    found = pose_errors(poses(frames), poses(frames, 1), UIPRMD)
    assert found.accel == found.accel_interior == 0


def test_pooling_weighs_by_frames() -> None:
    pooled = pool([PoseErrors(1, 2, 3, 4, 10), PoseErrors(5, 6, 7, 8, 30)])
    assert (pooled.mpjpe, pooled.pa_mpjpe, pooled.accel) == (4, 5, 6)
    assert pooled.frames == 40
    assert pooled.accel_interior == pytest.approx((4 * 8 + 8 * 28) / 36)
