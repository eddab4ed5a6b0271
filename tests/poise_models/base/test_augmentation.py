"""Augmented windows change as a whole: detected poses, truth and neighbours alike."""

import torch

from poise_models.base.augmentation import augmented
from poise_models.base.batch import Batch
from poise_models.base.budget import Budget
from poise_models.base.pose_spec import LeftRightFlip, PoseSpec

FLIP = LeftRightFlip((0, 2, 1), 1)
SPEC = PoseSpec(joints=3, dims=3, flip=FLIP, up=2)


def batch() -> Batch:
    generator = torch.Generator().manual_seed(1)
    detected, truth = torch.randn(2, 100, 8, 9, generator=generator)
    neighbours = torch.randn(100, 2, 8, 9, generator=generator)
    return Batch(detected, truth, neighbours, torch.rand(100, 2, generator=generator))


def changed(budget: Budget) -> Batch:
    return augmented(batch(), budget, SPEC, torch.Generator().manual_seed(0))


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


def test_a_window_is_turned_about_the_vertical_by_one_angle() -> None:
    before, after = batch(), changed(Budget(heading=0.3))
    was, now = before.truth_BTC.unflatten(-1, (3, 3)), after.truth_BTC.unflatten(-1, (3, 3))
    torch.testing.assert_close(now[..., 2], was[..., 2])
    turned = torch.view_as_complex(now[..., :2].contiguous()) / torch.view_as_complex(
        was[..., :2].contiguous()
    )
    angle_B = turned.angle()[:, 0, 0]
    assert -0.3 <= angle_B.min() < -0.2
    assert 0.2 < angle_B.max() <= 0.3
    turn_B = torch.polar(torch.ones(100), angle_B)
    torch.testing.assert_close(turned, turn_B[:, None, None].expand_as(turned), atol=1e-3, rtol=0)
    for after_, before_ in (
        (after.detected_BTC, before.detected_BTC),
        (after.neighbours_BKTC[:, 1], before.neighbours_BKTC[:, 1]),
    ):
        flat = torch.view_as_complex(before_.unflatten(-1, (3, 3))[..., :2].contiguous())
        expected = torch.view_as_real(flat * turn_B[:, None, None])
        torch.testing.assert_close(after_.unflatten(-1, (3, 3))[..., :2], expected)


def test_without_being_asked_nothing_changes() -> None:
    before, after = batch(), changed(Budget())
    assert torch.equal(after.detected_BTC, before.detected_BTC)
