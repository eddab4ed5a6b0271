"""Butterworth: what passes, what does not, and that nothing lags."""

import pytest
import torch
from tests.support.small_refiners import sequence

from poise_models.base.pose_spec import PoseSpec
from poise_models.errors import ConfigError
from poise_models.filters.butterworth import Butterworth, ButterworthConfig

SPEC = PoseSpec(joints=2, dims=3)
FILTER = Butterworth(SPEC, ButterworthConfig())


@pytest.mark.parametrize("frequency", [0.01, 0.03, 0.2, 0.3])
def test_butterworth_keeps_slow_and_stops_fast_motion_without_lag(frequency: float) -> None:
    wave = torch.sin(2 * torch.pi * frequency * torch.arange(400.0))[:, None].expand(-1, 6)
    out = FILTER.filter(wave)[100:-100]
    kept = wave[100:-100] if frequency < 0.12 else torch.zeros(())
    assert (out - kept).abs().max() < 0.03


def test_butterworth_halves_its_cutoff_and_looks_both_ways() -> None:
    wave = torch.sin(2 * torch.pi * 0.12 * torch.arange(500.0))[:, None].expand(-1, 6)
    out = FILTER.filter(wave)[100:-100]
    torch.testing.assert_close(out, wave[100:-100] / 2, atol=0.01, rtol=0)
    raw = sequence(80, SPEC, seed=80)
    turned = FILTER.filter(raw.flip(0)).flip(0)
    middle = slice(35, 45)
    torch.testing.assert_close(FILTER.filter(raw)[middle], turned[middle], atol=0.02, rtol=0)


def test_butterworth_parts_a_sequence_at_a_long_gap() -> None:
    times = torch.cat([torch.arange(40.0), 1e6 + torch.arange(40.0)]).double()
    raw, refiner = sequence(80, SPEC, seed=80), FILTER
    parts = torch.cat([refiner.filter(raw[:40]), refiner.filter(raw[40:])])
    torch.testing.assert_close(refiner.filter(raw, times), parts, atol=1e-5, rtol=0)


@pytest.mark.parametrize("setting", [{"cutoff": 0.0}, {"cutoff": 0.5}, {"order": 0}])
def test_butterworth_refuses_settings_without_sense(setting: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="cutoff must lie"):
        ButterworthConfig(**setting)  # type: ignore[arg-type]
