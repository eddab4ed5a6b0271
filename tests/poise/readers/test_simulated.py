"""Estimators that are drawn: every kind of error by itself, and a track of them all."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from poise.catalog.tracks import Track
from poise.readers.layouts import write_smoothnet
from poise.readers.noise import noise_seed
from poise.readers.npz_split import read_split
from poise.readers.sequence import PoseSequence
from poise.readers.simulated.body import Body
from poise.readers.simulated.estimator import EstimatorSimulator
from poise.readers.simulated.sequence import simulated
from poise.readers.simulated.strengths import FAULTLESS, Between, Spell, Strengths
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


def detected(truth_BTJD: Tensor, strengths: Strengths, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return EstimatorSimulator(SKELETON, strengths=strengths).detect(truth_BTJD, generator)


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
    strengths = FAULTLESS._replace(jitter_m=Between(0.01, 0.01), in_depth=0.0)
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


def test_other_joints_are_refused() -> None:
    with pytest.raises(TrackError, match="for the skeleton h36m17, not j14"):
        EstimatorSimulator(SKELETONS["j14"])


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
