"""Poise's own network: what it starts as, what it does not look at, what it says of its errors."""

import math
from typing import Any

import pytest
import torch
from tests.support.small_refiners import sequence

from poise_models.base.batch import Batch
from poise_models.base.clip import Clip
from poise_models.base.pose_spec import PoseSpec
from poise_models.errors import ConfigError
from poise_models.networks.poise import Poise, PoiseConfig

SPEC = PoseSpec(joints=5, dims=3)


def network(**settings: Any) -> Poise:
    torch.manual_seed(0)
    return Poise(SPEC, PoiseConfig(**{"window": 16, "width": 16, "blocks": 1, **settings})).eval()


def trained_a_little() -> Poise:
    """A correction that is no longer zero."""
    built = network()
    torch.nn.init.normal_(built.correct.weight, std=0.3)
    return built


def refined(built: Poise, detected_FC: torch.Tensor) -> torch.Tensor:
    return built.refine([Clip(detected_FC)])[0].poses_FC


def test_untrained_it_keeps_slow_motion_and_takes_off_fast_noise() -> None:
    slow_FC = torch.linspace(0, 1, 60)[:, None].pow(2) * sequence(1, SPEC)
    shaken_FC = slow_FC + 0.05 * torch.tensor([1.0, -1.0]).repeat(30)[:, None]
    torch.testing.assert_close(refined(network(), slow_FC), slow_FC, atol=0.04, rtol=0)
    off = (refined(network(), shaken_FC) - slow_FC).abs().mean()
    assert off < 0.01


def test_it_starts_from_a_constant_offset_exactly() -> None:
    built, offset_C = network(), torch.linspace(-0.1, 0.1, SPEC.channels)
    before = refined(built, sequence(40, SPEC))
    built.start_from(offset_C)
    torch.testing.assert_close(refined(built, sequence(40, SPEC)), before - offset_C)


def test_a_moved_body_is_refined_alike() -> None:
    built, detected_FC = trained_a_little(), sequence(40, SPEC)
    away_C = torch.tensor([3.0, -2.0, 0.5]).repeat(SPEC.joints)
    torch.testing.assert_close(
        refined(built, detected_FC + away_C), refined(built, detected_FC) + away_C,
        atol=1e-4, rtol=0,
    )  # fmt: skip


@pytest.mark.parametrize("hidden", ["a joint for a while", "a joint throughout", "whole frames"])
def test_what_is_not_seen_is_filled_and_looked_at_nowhere(hidden: str) -> None:
    built, detected_FJD = trained_a_little(), sequence(40, SPEC).unflatten(-1, (5, 3)).clone()
    place = {
        "a joint for a while": (slice(10, 20), 2),
        "a joint throughout": (slice(None), 2),
        "whole frames": (slice(10, 20), slice(None)),
    }[hidden]
    detected_FJD[place] = math.nan
    unseen = built.refine([Clip(detected_FJD.flatten(1))])[0]
    assert unseen.poses_FC.isfinite().all()
    assert unseen.error_FJ is not None
    assert unseen.error_FJ.isfinite().all()
    # One number that is missing makes its joint missing, whatever the others say.
    detected_FJD[place] = torch.tensor([math.nan, 7.0, -7.0])
    torch.testing.assert_close(refined(built, detected_FJD.flatten(1)), unseen.poses_FC)


def test_it_knows_which_joint_is_shaken() -> None:
    built = network(width=32)
    draw = torch.Generator().manual_seed(0)
    noise_J = torch.tensor([0.002, 0.005, 0.01, 0.02, 0.05]).repeat_interleave(3)
    step = torch.optim.Adam(built.parameters(), 1e-2)

    def batch(windows: int) -> Batch:
        truth_BTC = torch.randn(windows, 1, SPEC.channels, generator=draw).expand(-1, 16, -1)
        shaken = torch.randn(windows, 16, SPEC.channels, generator=draw) * noise_J
        return Batch.without_neighbours(truth_BTC + shaken, truth_BTC)

    for _ in range(150):
        step.zero_grad()
        built.loss(batch(32)).backward()
        step.step()
    seen = batch(256)
    with torch.no_grad():
        found = built(seen.detected_BTC, seen.neighbours_BKTC, seen.distances_BK)
    assert found.error_BTJ is not None
    off_J = (found.poses_BTC - seen.truth_BTC).unflatten(-1, (5, 3)).norm(dim=-1).mean((0, 1))
    told_J = found.error_BTJ.mean((0, 1))
    assert (told_J.diff() > 0).all()
    torch.testing.assert_close(told_J, off_J, rtol=0.35, atol=0)


@pytest.mark.parametrize("wrong", [{"window": 3}, {"width": 0}, {"blocks": 0}, {"smoothness": -1}])
def test_settings_without_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        PoiseConfig(**wrong)
