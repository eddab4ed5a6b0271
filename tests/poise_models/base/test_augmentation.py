"""Augmented windows change as a whole: detected poses, truth and neighbours alike."""

import torch

from poise_models.base.augmentation import augmented
from poise_models.base.batch import Batch
from poise_models.base.budget import Budget
from poise_models.base.pose_spec import LeftRightFlip

FLIP = LeftRightFlip((0, 2, 1), 1)


def batch() -> Batch:
    generator = torch.Generator().manual_seed(1)
    detected, truth = torch.randn(2, 100, 8, 9, generator=generator)
    neighbours = torch.randn(100, 2, 8, 9, generator=generator)
    return Batch(detected, truth, neighbours, torch.rand(100, 2, generator=generator))


def changed(budget: Budget) -> Batch:
    return augmented(batch(), budget, FLIP, torch.Generator().manual_seed(0))


def test_about_half_of_the_windows_are_flipped() -> None:
    before, after = batch(), changed(Budget(mirror=True))
    flipped_B = (after.truth_BTC == FLIP(before.truth_BTC)).flatten(1).all(1)
    assert 30 < int(flipped_B.sum()) < 70
    for now, was in (
        (after.detected_BTC, before.detected_BTC),
        (after.truth_BTC, before.truth_BTC),
        (after.neighbours_BKTC, before.neighbours_BKTC),
    ):
        assert torch.equal(now[flipped_B], FLIP(was[flipped_B]))
        assert torch.equal(now[~flipped_B], was[~flipped_B])
    assert torch.equal(after.distances_BK, before.distances_BK)


def test_a_window_is_scaled_by_one_factor() -> None:
    before, after = batch(), changed(Budget(scale=0.1))
    factor_B = (after.truth_BTC / before.truth_BTC)[:, 0, 0]
    assert 0.9 <= factor_B.min() < 0.93
    assert 1.07 < factor_B.max() <= 1.1
    for now, was in (
        (after.detected_BTC, before.detected_BTC),
        (after.truth_BTC, before.truth_BTC),
        (after.neighbours_BKTC[:, 1], before.neighbours_BKTC[:, 1]),
    ):
        torch.testing.assert_close(now, factor_B[:, None, None] * was)


def test_without_being_asked_nothing_changes() -> None:
    before, after = batch(), changed(Budget())
    assert torch.equal(after.detected_BTC, before.detected_BTC)
