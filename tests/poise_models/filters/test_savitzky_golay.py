"""Savitzky-Golay against SciPy's."""

import numpy as np
import pytest
import torch
from scipy.signal import savgol_filter

from poise_models.base.pose_spec import PoseSpec
from poise_models.filters.savitzky_golay import SavitzkyGolay, SavitzkyGolayConfig

SPEC = PoseSpec(joints=2, dims=3)
FILTER = SavitzkyGolay(SPEC, SavitzkyGolayConfig())


def random_walk() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(70, SPEC.channels, generator=generator).cumsum(0)


def test_savgol_is_scipys() -> None:
    sequence = random_walk()
    expected = savgol_filter(sequence.numpy(), 31, 2, axis=0)
    np.testing.assert_allclose(FILTER.filter(sequence), expected, rtol=1e-6)


@pytest.mark.parametrize(("frames", "window"), [(30, 29), (31, 31), (4, 3)])
def test_savgol_takes_the_longest_odd_window_that_fits(frames: int, window: int) -> None:
    sequence = torch.randn(frames, SPEC.channels)
    expected = savgol_filter(sequence.numpy(), window, 2, axis=0)
    np.testing.assert_allclose(FILTER.filter(sequence), expected, rtol=1e-5, atol=1e-6)
