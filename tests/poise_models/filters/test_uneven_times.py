"""Filters where frames are missing or come at uneven times, and where joints were not seen."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d
from scipy.signal import savgol_filter
from tests.support.small_refiners import sequence

from poise_models.base.clip import Clip
from poise_models.base.pose_spec import PoseSpec
from poise_models.base.refiner import SequenceRefiner
from poise_models.errors import ShapeError
from poise_models.filters.butterworth import Butterworth, ButterworthConfig
from poise_models.filters.gaps import filled
from poise_models.filters.gaussian import Gaussian1d, Gaussian1dConfig, gaussian_at
from poise_models.filters.linear import Linear, LinearConfig
from poise_models.filters.offset import OffsetGaussian, OffsetGaussianConfig
from poise_models.filters.one_euro import OneEuro, OneEuroConfig
from poise_models.filters.savitzky_golay import SavitzkyGolay, SavitzkyGolayConfig, savgol_at

SPEC = PoseSpec(joints=2, dims=3)
FILTERS: dict[str, SequenceRefiner] = {
    "oneeuro": OneEuro(SPEC, OneEuroConfig()),
    "gaussian blocks": Gaussian1d(SPEC, Gaussian1dConfig(block=7)),
    "gaussian": Gaussian1d(SPEC, Gaussian1dConfig(block=0)),
    "offset-gaussian": OffsetGaussian(SPEC, OffsetGaussianConfig()),
    "savgol": SavitzkyGolay(SPEC, SavitzkyGolayConfig()),
    "butterworth": Butterworth(SPEC, ButterworthConfig()),
    "linear": Linear(SPEC, LinearConfig()),
}
every_filter = pytest.mark.parametrize("name", FILTERS)


@st.composite
def uneven_times(draw: st.DrawFn, smallest: int = 1) -> torch.Tensor:
    whole = draw(st.booleans())
    step = st.integers(1, 40) if whole else st.floats(0.05, 40)
    steps = draw(st.lists(step, min_size=smallest - 1, max_size=60))
    return torch.tensor([0.0, *steps], dtype=torch.float64).cumsum(0)


@every_filter
@given(times=uneven_times(), value=st.floats(-1e3, 1e3, width=32))
@settings(max_examples=15, deadline=None)
def test_constants_pass_at_any_times(name: str, times: torch.Tensor, value: float) -> None:
    constant = torch.full((len(times), SPEC.channels), value)
    out = FILTERS[name].filter(constant, times)
    torch.testing.assert_close(out, constant, rtol=1e-5, atol=1e-5)


@given(times=uneven_times(), order=st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_savgol_passes_linear_motion_at_any_times(times: torch.Tensor, order: int) -> None:
    refiner = SavitzkyGolay(SPEC, SavitzkyGolayConfig(order=order))
    line = (times[:, None] * torch.tensor([0.0, 1, -1, 2, 0.1, 0]) * 0.1 + 3).float()
    torch.testing.assert_close(refiner.filter(line, times), line, rtol=1e-4, atol=1e-4)


@every_filter
@given(times=uneven_times(), start=st.floats(-1e4, 1e4))
@settings(max_examples=15, deadline=None)
def test_only_differences_of_times_count(name: str, times: torch.Tensor, start: float) -> None:
    raw = sequence(len(times), SPEC, seed=len(times))
    here, there = (FILTERS[name].filter(raw, t) for t in (times, times + start))
    torch.testing.assert_close(here, there, rtol=1e-4, atol=1e-4)


@every_filter
@pytest.mark.parametrize("frames", [1, 2, 5, 30, 31, 70])
def test_even_times_change_nothing(name: str, frames: int) -> None:
    raw = sequence(frames, SPEC, seed=frames)
    times = torch.arange(frames, dtype=torch.float64) + 1000.3
    refiner = FILTERS[name]
    assert torch.equal(refiner.filter(raw, times), refiner.filter(raw))


@pytest.mark.parametrize("frames", [1, 3, 9, 30, 31, 32, 80])
def test_the_uneven_road_ends_at_scipy_for_even_times(frames: int) -> None:
    raw = sequence(frames, SPEC, seed=frames).double().numpy()
    times = np.arange(frames, dtype=np.float64)
    smooth = gaussian_at(times[None], raw[None], 3.0)[0]
    np.testing.assert_allclose(smooth, gaussian_filter1d(raw, 3, axis=0), atol=1e-9)
    window = min(31, frames - 1 + frames % 2)
    expected = savgol_filter(raw, window, 2, axis=0) if window > 2 else raw
    np.testing.assert_allclose(savgol_at(times, raw, 31, 2), expected, atol=1e-9)


@every_filter
def test_missing_frames_are_better_told_than_closed_up(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    times = torch.arange(300, dtype=torch.float64)
    truth = torch.sin(times[:, None] / 12 + torch.arange(SPEC.channels)).float()
    raw = truth + 0.1 * torch.randn(truth.shape, generator=generator)
    seen = (torch.rand(300, generator=generator) > 0.3) & ((times % 60) > 8)

    def error(times_F: torch.Tensor | None) -> float:
        return float((FILTERS[name].filter(raw[seen], times_F) - truth[seen]).abs().mean())

    assert error(times[seen]) < error(None)


@every_filter
def test_gaps_of_a_million_frames_cost_nothing(name: str) -> None:
    times = torch.cat([torch.arange(40.0), 1e6 + torch.arange(40.0)]).double()
    raw = sequence(80, SPEC, seed=80)
    out = FILTERS[name].filter(raw, times)
    assert torch.isfinite(out).all()
    alone = FILTERS[name].filter(raw[:40])
    torch.testing.assert_close(out[:15], alone[:15], atol=1e-4, rtol=0)


@every_filter
def test_unseen_joints_are_interpolated_in_time_first(name: str) -> None:
    raw, times = sequence(40, SPEC, seed=40), torch.arange(40, dtype=torch.float64) * 1.5
    broken = raw.clone()
    broken[10:13, 2] = torch.nan
    broken[:2, 4] = torch.nan
    broken[38:, 4] = torch.nan
    patched = filled(broken, times)
    torch.testing.assert_close(
        patched[10:13, 2], torch.lerp(raw[9, 2], raw[13, 2], torch.tensor([0.25, 0.5, 0.75]))
    )
    assert (patched[:2, 4] == raw[2, 4]).all()
    assert (patched[38:, 4] == raw[37, 4]).all()
    out = FILTERS[name].filter(broken, times)
    assert torch.isfinite(out).all()
    assert torch.equal(out, FILTERS[name].filter(patched, times))


@pytest.mark.parametrize(
    "times", [[0.0, 1.0], [0.0, 1.0, 1.0], [0.0, 2.0, 1.0], [0.0, 1.0, float("nan")]]
)
def test_times_that_are_none_are_refused(times: list[float]) -> None:
    clip = Clip(torch.zeros(3, SPEC.channels), times_F=torch.tensor(times))
    with pytest.raises(ShapeError, match="3 frame numbers"):
        FILTERS["oneeuro"].refine([clip])


def test_times_reach_the_filter_through_refine() -> None:
    raw, times = sequence(50, SPEC, seed=50), torch.arange(50, dtype=torch.float64) * 3
    refiner = FILTERS["savgol"]
    (refined,) = refiner.refine([Clip(raw, times_F=times)])
    assert torch.equal(refined.poses_FC, refiner.filter(raw, times))
    assert not torch.allclose(refined.poses_FC, refiner.filter(raw), atol=0.1)
