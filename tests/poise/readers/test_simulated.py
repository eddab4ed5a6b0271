"""Estimators that are drawn: every kind of error by itself, and a track of them all."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from poise.catalog.tracks import Track
from poise.readers.layouts import write_smoothnet
from poise.readers.noise import noise_seed
from poise.readers.npz_split import read_split
from poise.readers.sequence import PoseSequence
from poise.readers.simulated.body import Body
from poise.readers.simulated.camera import Camera, rotations
from poise.readers.simulated.draws import Draws
from poise.readers.simulated.estimator import EstimatorSimulator, Seen
from poise.readers.simulated.sequence import simulated
from poise.readers.simulated.strengths import FAULTLESS, Between, Spell, Strengths
from poise.readers.simulated.view import View
from poise.readers.synthetic.sequences import Size, sequences
from poise.runtime.errors import TrackError
from poise_retrieval.geometry.skeletons import SKELETONS

TRACK = Track("cmu", "simulated", "3D")
SKELETON = SKELETONS["h36m17"]
ALWAYS = Spell(1.0, 20)
NAMES = SKELETON.joints


def motion(batch: int = 40, frames: int = 32) -> Tensor:
    """Joints that all differ, and move."""
    generator = torch.Generator().manual_seed(7)
    place_BJD = torch.randn(batch, 1, 17, 3, generator=generator)
    return place_BJD + 0.01 * torch.arange(frames)[:, None, None]


def seen_by(truth_BTJD: Tensor, strengths: Strengths, seed: int = 0) -> Seen:
    generator = torch.Generator().manual_seed(seed)
    return EstimatorSimulator(SKELETON, strengths=strengths).detect(truth_BTJD, generator)


def detected(truth_BTJD: Tensor, strengths: Strengths, seed: int = 0) -> Tensor:
    return seen_by(truth_BTJD, strengths, seed).poses_BTJD


def correlation(one: Tensor, other: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1])


@pytest.mark.parametrize("frames", [8, 32, 45, 300])
def test_windows_of_any_length_come_back_with_gaps(frames: int) -> None:
    truth = motion(60, frames)
    seen = detected(truth, Strengths())
    assert seen.shape == truth.shape
    share = float(seen.isnan().float().mean())
    assert 0.03 < share < 0.25
    # A joint is seen or not, never by halves.
    assert torch.equal(seen.isnan().any(-1), seen.isnan().all(-1))
    assert float((seen - truth).nanmean().abs()) < 0.05


@given(
    seed=st.integers(0, 2**62),
    frames=st.integers(1, 140),
    size=st.floats(1e-3, 10.0),
    place=st.floats(-100.0, 100.0),
)
@settings(max_examples=25, deadline=None)
def test_whatever_moves_is_seen_or_not_and_said_so(
    seed: int, frames: int, size: float, place: float
) -> None:
    truth = size * motion(4, frames) + place
    seen = seen_by(truth, Strengths(), seed)
    lost = seen.poses_BTJD.isnan()
    assert torch.equal(lost.any(-1), lost.all(-1))
    assert bool(seen.poses_BTJD[~lost].isfinite().all())
    assert bool(((seen.confidence_BTJ >= 0) & (seen.confidence_BTJ <= 1)).all())
    assert bool((seen.confidence_BTJ[lost.any(-1)] == 0).all())


def test_a_seed_says_all() -> None:
    truth = motion()
    one, same, other = (detected(truth, Strengths(), seed) for seed in (3, 3, 4))
    torch.testing.assert_close(one, same, equal_nan=True, rtol=0, atol=0)
    assert not torch.equal(one.nan_to_num(), other.nan_to_num())


def test_clean_and_faultless_windows_stay_as_they_are() -> None:
    truth = motion()
    assert torch.equal(detected(truth, Strengths(clean=1.0)), truth)
    torch.testing.assert_close(detected(truth, FAULTLESS), truth, rtol=0, atol=1e-6)


def test_swaps_exchange_left_and_right() -> None:
    truth = motion()
    seen = detected(truth, FAULTLESS._replace(swaps=ALWAYS))
    other = truth[:, :, Body(SKELETON).other_J]
    swapped, same = (torch.isclose(seen, one, atol=1e-5).all(-1) for one in (other, truth))
    assert bool((swapped | same).all())
    left, right = NAMES.index("left_knee"), NAMES.index("right_knee")
    assert torch.equal(swapped[:, :, left], swapped[:, :, right])
    assert 0.05 < float(swapped[:, :, left].float().mean()) < 0.95
    pelvis = NAMES.index("pelvis")
    assert bool(same[:, :, pelvis].all())


def test_frozen_joints_stay_where_they_were() -> None:
    truth = motion()
    seen = detected(truth, FAULTLESS._replace(freezes=ALWAYS))
    behind = (truth - seen)[..., 0] / 0.01
    torch.testing.assert_close(behind, behind.round(), rtol=0, atol=1e-3)
    assert float(behind.min()) > -1e-3
    assert 1 < float(behind.max()) < ALWAYS.longest + 1


def test_inverted_limbs_keep_their_reach_from_shoulder_and_hip() -> None:
    truth = motion()
    seen = detected(truth, FAULTLESS._replace(inversions=ALWAYS))
    base = Body(SKELETON).base_J
    apart = (truth - truth[:, :, base]).norm(dim=-1)
    torch.testing.assert_close((seen - seen[:, :, base]).norm(dim=-1), apart, rtol=0, atol=1e-4)
    assert float((seen - truth).norm(dim=-1)[:, :, NAMES.index("left_wrist")].mean()) > 0.05
    torch.testing.assert_close(seen[:, :, 0], truth[:, :, 0], rtol=0, atol=1e-6)


def test_jitter_lasts_and_has_the_strength_that_is_drawn() -> None:
    still = torch.zeros(400, 64, 17, 3)
    strengths = FAULTLESS._replace(jitter_m=Between(0.01, 0.01), in_depth=0.0, behind=0.0)
    slow = detected(still, strengths._replace(jitter_lasts=Between(10, 10), fresh_power=50.0))
    fast = detected(still, strengths._replace(jitter_lasts=Between(0.01, 0.01)))
    knee = NAMES.index("left_knee")
    for error, low, high in ((slow, 0.9, 1.0), (fast, -0.1, 0.1)):
        mine = error[:, :, knee].double()
        # Of a uniform factor from 0.5 to 1.5, the mean square is 13 / 12.
        assert float(mine.std()) == pytest.approx(0.01 * (13 / 12) ** 0.5, rel=0.05)
        lag = float((mine[:, 1:] * mine[:, :-1]).mean() / mine.square().mean())
        assert low < lag < high
    assert float(slow[:, :, NAMES.index("left_wrist")].std()) > 4 * float(slow[:, :, 0].std())


def test_a_bias_is_one_for_all_frames_in_directions_of_the_body() -> None:
    body = Body(SKELETON)
    truth = motion(200, 1).expand(-1, 16, -1, -1)
    turn = rotations(torch.arange(16)[:, None] * torch.tensor([0.1, 0.2, 0.0]))
    strengths = FAULTLESS._replace(bias_m=Between(0.01, 0.01))
    still, turned = (detected(one, strengths) - one for one in (truth, truth @ turn))
    torch.testing.assert_close(still, still[:, :1].expand_as(still), rtol=0, atol=1e-5)
    torch.testing.assert_close(turned, still @ turn, rtol=0, atol=1e-5)
    # Of a mirrored body both sides are told alike, but for a rest.
    own = (still @ body.axes(truth).mT)[:, 0]
    left, right = (own[:, NAMES.index(side + "_hip")] for side in ("left", "right"))
    assert correlation(left[:, 0], right[:, 0]) < -0.3
    assert correlation(left[:, 1:], right[:, 1:]) > 0.3
    grown = detected(truth, FAULTLESS._replace(scale=0.1))
    length = (grown - grown[:, :, :1]).norm(dim=-1) / (truth - truth[:, :, :1]).norm(dim=-1)
    length = length[:, :, 1:]
    assert float((length - length[:, :1, :1]).abs().max()) < 1e-3
    assert float(length[:, 0, 0].log().std()) == pytest.approx(0.1, rel=0.2)


def test_a_bad_elbow_drags_the_wrist() -> None:
    still = torch.zeros(300, 32, 17, 3) + motion(1, 1)
    strengths = FAULTLESS._replace(jitter_m=Between(0.01, 0.01), in_depth=0.0, behind=0.0)
    linked = detected(still, strengths._replace(along_limbs=0.95)) - still
    single = detected(still, strengths) - still
    elbow, wrist, knee = (NAMES.index(f"left_{joint}") for joint in ("elbow", "wrist", "knee"))
    assert correlation(linked[:, :, elbow], linked[:, :, wrist]) > 0.4
    assert abs(correlation(single[:, :, elbow], single[:, :, wrist])) < 0.05
    assert abs(correlation(linked[:, :, knee], linked[:, :, wrist])) < 0.2
    common = detected(still, strengths._replace(in_common=0.8)) - still
    assert correlation(common[:, :, knee], common[:, :, wrist]) > 0.15
    # Shared or not, it is as strong.
    for error in (linked, common):
        assert float(error.std() / single.std()) == pytest.approx(1, rel=0.1)


def test_fast_and_hidden_joints_are_further_off() -> None:
    still = torch.zeros(300, 32, 17, 3) + motion(1, 1)
    strengths = FAULTLESS._replace(jitter_m=Between(0.01, 0.01), behind=0.0, with_speed=60.0)
    fast = still + 0.05 * torch.arange(32)[:, None, None]
    slow_error, fast_error = (
        (detected(one, strengths) - one)[:, :-1].norm(dim=-1).mean() for one in (still, fast)
    )
    assert float(fast_error) > 1.5 * float(slow_error)
    behind = View.of_space(still, Body(SKELETON), Draws(torch.Generator().manual_seed(0)))
    assert 0 <= float(behind.behind_BTJ.min()) < 0.01
    body = torch.zeros(1, 1, 17, 3)
    body[..., NAMES.index("thorax"), 1] = 0.4
    image, deep = body[..., :2], torch.zeros(1, 1, 17)
    image[..., NAMES.index("left_wrist"), 1] = 0.2
    deep[..., NAMES.index("left_wrist")] = 0.3
    deep[..., NAMES.index("right_wrist")] = -0.3
    hidden = View.of_image(image, deep, Body(SKELETON)).behind_BTJ[0, 0]
    assert float(hidden[NAMES.index("left_wrist")]) > 0.9
    assert float(hidden[NAMES.index("right_wrist")]) < 0.01


def test_confidence_tells_of_the_error_imperfectly() -> None:
    truth = motion(300)
    seen = seen_by(truth, Strengths())
    error = (seen.poses_BTJD - truth).norm(dim=-1)
    known = (error > 0) & (seen.confidence_BTJ > 0)
    told = correlation(error[known].log(), seen.confidence_BTJ[known])
    assert -0.9 < told < -0.3
    unfounded = seen_by(truth, Strengths(unfounded=1.0, behind=0.0))
    known = unfounded.confidence_BTJ > 0
    error = (unfounded.poses_BTJD - truth).norm(dim=-1)
    assert (
        abs(correlation(error[known].clamp(min=1e-9).log(), unfounded.confidence_BTJ[known])) < 0.3
    )
    doubtful = [
        float(
            detected(truth, FAULTLESS._replace(jitter_m=Between(0.1, 0.1), doubtful=share))
            .isnan()
            .float()
            .mean()
        )
        for share in (0.0, 1.0)
    ]
    assert doubtful[0] == 0
    assert 0.05 < doubtful[1] < 0.7


def test_stuttering_estimators_repeat_or_lose_frames_at_a_period() -> None:
    truth = motion(200)
    seen = detected(truth, FAULTLESS._replace(stutters=1.0))
    lost = seen.isnan().all(-1).all(-1)
    behind = ((truth - seen)[..., 0].nanmean(-1) / 0.01).round()
    off = lost | (behind == 1)
    assert bool((off | (behind == 0)).all())
    assert 0.3 < float(lost.any(1).float().mean()) < 0.7
    assert not bool((lost.any(1) & (behind == 1).any(1)).any())
    share = off.float().mean(1)
    assert float(share.min()) > 0.1
    assert float(share.max()) < 0.6


def test_swaps_may_flicker() -> None:
    truth = motion(200)
    turns = []
    for share in (0.0, 1.0):
        seen = detected(truth, FAULTLESS._replace(swaps=ALWAYS, flickers=share))
        knee = NAMES.index("left_knee")
        swapped = ~torch.isclose(seen[:, :, knee], truth[:, :, knee], atol=1e-5).all(-1)
        turns.append(float((swapped[:, 1:] ^ swapped[:, :-1]).sum(1).float().mean()))
    assert turns[1] > 2 * turns[0]


def people(batch: int = 100, frames: int = 32) -> Tensor:
    """People of 1.6 m who stand, y up, all alike, and walk a metre."""
    pose = [[0.1 * joint % 0.4, 1.6 * joint / 16, 0.05 * (joint % 3)] for joint in range(17)]
    walked = torch.linspace(0, 1, frames)[:, None, None] * torch.tensor([1.0, 0.0, 0.0])
    return (torch.tensor(pose) + walked).expand(batch, -1, -1, -1) + 3.0


def test_cameras_see_people_upright_and_as_a_pinhole_does() -> None:
    truth = people(200)
    camera = Camera.about(truth, Draws(torch.Generator().manual_seed(0)))
    image, depth = camera.project(truth)
    assert image.shape == (*truth.shape[:-1], 2)
    assert bool((image[:, :, 16, 1] < image[:, :, 0, 1]).all())
    assert 0.8 < float((image.abs() < 1).all(-1).float().mean()) < 0.99
    assert float(depth.min()) > 0.5
    turns = camera.axes_BT33.flatten(0, 1)
    torch.testing.assert_close(turns @ turns.mT, torch.eye(3).expand_as(turns), rtol=0, atol=1e-5)
    torch.testing.assert_close(torch.linalg.det(turns), torch.ones(len(turns)), rtol=0, atol=1e-5)
    # What is twice as far along its ray is seen at the same place.
    far = camera.place_B3[:, None, None] + 2 * (truth - camera.place_B3[:, None, None])
    same, twice = camera.project(far)
    torch.testing.assert_close(same, image, rtol=0, atol=1e-4)
    torch.testing.assert_close(twice, 2 * depth, rtol=1e-4, atol=1e-4)
    still = camera.axes_BT33[:, 0] - camera.axes_BT33[:, -1]
    assert 0.1 < float((still.abs().amax((1, 2)) > 1e-6).float().mean()) < 0.5


def test_joints_outside_an_image_are_not_seen_or_at_its_edge() -> None:
    truth = people(300)
    kinds = {}
    for share in (0.0, 1.0):
        simulator = EstimatorSimulator(SKELETON, strengths=FAULTLESS._replace(at_edge=share))
        image, kinds[share] = simulator.detect_images(truth, torch.Generator().manual_seed(0))
    outside = (image.abs() > 1).any(-1)
    assert 0.01 < float(outside.float().mean()) < 0.3
    unseen, at_edge = kinds[0.0], kinds[1.0]
    assert torch.equal(unseen.poses_BTJD.isnan().any(-1), outside)
    assert bool((unseen.confidence_BTJ[outside] == 0).all())
    torch.testing.assert_close(at_edge.poses_BTJD, image.clamp(-1, 1), rtol=0, atol=1e-4)
    assert bool((at_edge.confidence_BTJ[outside] < 0.31).all())


def test_errors_in_images_are_as_large_as_people_are() -> None:
    truth = people(300)
    strengths = FAULTLESS._replace(jitter_m=Between(0.02, 0.02), behind=0.0, at_edge=1.0)
    image, seen = EstimatorSimulator(SKELETON, strengths=strengths).detect_images(
        truth, torch.Generator().manual_seed(0)
    )
    inside = (image.abs() < 0.9).all(-1)
    error_B = torch.where(inside, (seen.poses_BTJD - image).norm(dim=-1), 0).sum((1, 2))
    error_B = error_B / inside.sum((1, 2))
    tall_B = (image[..., 1].amax(2) - image[..., 1].amin(2)).mean(1)
    known_B = inside.any(-1).any(-1)
    assert correlation(tall_B[known_B].log(), error_B[known_B].log()) > 0.8
    share = error_B[known_B] / tall_B[known_B]
    assert 0.005 < float(share.median()) < 0.05


def test_other_joints_are_refused() -> None:
    with pytest.raises(TrackError, match="for the skeleton h36m17, not j14"):
        EstimatorSimulator(SKELETONS["j14"])


def test_a_track_in_images_is_made_of_the_one_in_space(tmp_path: Path) -> None:
    images = Track("cmu", "simulated", "2D")
    write_smoothnet(tmp_path, TRACK, "test", list(sequences("test", Size(2, 2, 90))))
    space, read, again = (
        [one for one in read_split(tmp_path, track, "test") if isinstance(one, PoseSequence)]
        for track in (TRACK, images, images)
    )
    assert [one.name for one in read] == [one.name for one in space]
    for one, same in zip(read, again, strict=True):
        assert one.truth_FC is not None
        assert one.truth_FC.shape == one.detected_FC.shape == (90, 34)
        assert np.isfinite(one.detected_FC).all()
        np.testing.assert_array_equal(one.detected_FC, same.detected_FC)
        height_FJ = one.truth_FC.reshape(90, 17, 2)[..., 1]
        assert (height_FJ[:, NAMES.index("head")] < height_FJ[:, 0]).mean() > 0.9


def test_a_track_is_read_with_marked_gaps_and_the_same_every_time(tmp_path: Path) -> None:
    for split in ("train", "test"):
        write_smoothnet(tmp_path, TRACK, split, list(sequences(split, Size(2, 2, 90))))
    read = [one for one in read_split(tmp_path, TRACK, "test") if isinstance(one, PoseSequence)]
    again = [one for one in read_split(tmp_path, TRACK, "test") if isinstance(one, PoseSequence)]
    assert len(read) == 4
    assert any(one.unseen_FJ is not None and one.unseen_FJ.any() for one in read)
    for one, same in zip(read, again, strict=True):
        assert one.truth_FC is not None
        assert np.isfinite(one.detected_FC).all()
        np.testing.assert_array_equal(one.detected_FC, same.detected_FC)
        # What is marked is what the estimator did not see; all else is as it saw it.
        seen_FJD = simulated(one.truth_FC, SKELETON, noise_seed("test", one.name))
        lost_FJ = np.isnan(seen_FJD[..., 0])
        np.testing.assert_array_equal(lost_FJ.any(), one.unseen_FJ is not None)
        if one.unseen_FJ is not None:
            np.testing.assert_array_equal(lost_FJ, one.unseen_FJ)
        read_FJD = one.detected_FC.reshape(seen_FJD.shape)
        np.testing.assert_array_equal(read_FJD[~lost_FJ], seen_FJD[~lost_FJ])
