"""The closed-form map: what it solves, how it chooses, and what it cannot be told."""

import numpy as np
import pytest
import torch
from torch import Tensor

from poise_models.base.pose_spec import PoseSpec
from poise_models.base.refiner import Pair
from poise_models.base.windows import unfold
from poise_models.errors import ConfigError
from poise_models.filters.linear import STRENGTHS, USUAL, Linear, LinearConfig, Sums, chosen

SPEC = PoseSpec(joints=3, dims=3)
SMALL = LinearConfig(window=7, coefficients=3, ridge=0.3)


def pair(subject: str, seed: int, frames: int = 200, offset: Tensor | float = 0.2) -> Pair:
    """A slow random walk, seen turned a little, shifted and through noise."""
    generator = torch.Generator().manual_seed(seed)
    truth_FC = torch.randn(frames, SPEC.channels, generator=generator).cumsum(0) / 10
    noise_FC = 0.1 * torch.randn(frames, SPEC.channels, generator=generator)
    seen_FC = truth_FC + 0.2 * truth_FC.roll(1, dims=1)
    return Pair(subject, seen_FC + noise_FC + offset, truth_FC)


PAIRS = [pair("a", 0), pair("b", 1), pair("b", 2, frames=5), pair("c", 3)]


def coefficients(refiner: Linear, one: Pair) -> tuple[Tensor, Tensor]:
    windows_NTC = unfold(one.detected_FC, refiner.config.window)
    centre_N1C = refiner.centre_of(windows_NTC)
    truth_NTC = unfold(one.truth_FC, refiner.config.window)
    low = [refiner.basis_KT @ (part - centre_N1C) for part in (windows_NTC, truth_NTC)]
    return low[0].flatten(1), low[1].flatten(1)


def test_the_map_is_numpys_least_squares_with_a_ridge_towards_the_identity() -> None:
    # Not relative to a root: it would be zero, and any map of it as good as another.
    refiner = Linear(PoseSpec(joints=3, dims=3, roots=(), centre=False), SMALL)
    refiner.fit(PAIRS)
    both = [coefficients(refiner, one) for one in PAIRS]
    seen_NP = torch.cat([seen for seen, _ in both]).double().numpy()
    wanted_NP = torch.cat([wanted for _, wanted in both]).double().numpy() - seen_NP
    count, size = seen_NP.shape
    ridge_P = np.sqrt(count * 0.3) * seen_NP.std(0)
    rows = np.block([[seen_NP, np.ones((count, 1))], [np.diag(ridge_P), np.zeros((size, 1))]])
    aims = np.concatenate([wanted_NP, np.zeros((size, size))])
    expected = np.linalg.lstsq(rows, aims, rcond=None)[0]
    np.testing.assert_allclose(refiner.bias_P, expected[-1], atol=1e-4)
    np.testing.assert_allclose(refiner.map_PP, np.eye(size) + expected[:-1], atol=1e-4)


def test_sums_of_parts_are_the_sums_of_the_whole() -> None:
    generator = torch.Generator().manual_seed(0)
    seen, wanted = (torch.randn(90, 6, generator=generator) for _ in range(2))
    parts = [Sums.of(seen[at : at + 30], wanted[at : at + 30]) for at in (0, 30, 60)]
    whole = Sums.of(seen, wanted)
    for one, other in zip(
        (parts[0] + parts[1] + parts[2]).solved(0.1), whole.solved(0.1), strict=True
    ):
        torch.testing.assert_close(one, other)
    map_PP, bias_P = whole.solved(0.1)
    off_NP = wanted - seen @ map_PP.float() - bias_P
    assert whole.error(map_PP, bias_P) == pytest.approx(float(off_NP.square().sum(1).mean().sqrt()))


def test_people_who_differ_by_more_than_their_motion_ask_for_a_strong_ridge() -> None:
    def strength(*differences: float) -> float:
        refiner = Linear(SPEC, LinearConfig(window=7, coefficients=3))
        people = enumerate(torch.tensor(differences)[:, None] * torch.arange(SPEC.channels))
        refiner.fit(pair(str(n), n, offset=apart_1C) for n, apart_1C in people)
        return float(refiner.ridge)

    assert strength(0.0, 0.0, 0.0, 0.0) < strength(-3.0, 1.0, 2.0, -2.0)
    torch.manual_seed(0)
    nothing = [Sums.of(torch.randn(200, 4), torch.randn(200, 4)) for _ in range(4)]
    assert (chosen(nothing), chosen(nothing[:1])) == (STRENGTHS[-1], USUAL)


def test_errors_that_lean_on_other_joints_are_learnt_and_beat_smoothing() -> None:
    refiner, fresh = Linear(SPEC, SMALL), Linear(SPEC, SMALL)
    refiner.fit(PAIRS)
    new = pair("d", 9)

    def error(one: Linear) -> float:
        return float((one.filter(new.detected_FC) - new.truth_FC).abs().mean())

    assert error(refiner) < 0.7 * error(fresh)


@pytest.mark.parametrize("setting", [{"window": 8}, {"coefficients": 32}, {"ridge": 0.0}])
def test_settings_without_sense_are_refused(setting: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="linear: "):
        LinearConfig(**setting)  # type: ignore[arg-type]


def test_nothing_to_fit_on_is_said() -> None:
    with pytest.raises(ConfigError, match="nothing to fit on"):
        Linear(SPEC, SMALL).fit([])
