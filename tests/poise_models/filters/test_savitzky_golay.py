"""Savitzky-Golay against SciPy's."""

import numpy as np
import pytest
import torch
from scipy.signal import savgol_filter
from tests.support.small_refiners import sequence

from poise_models.base.pose_spec import PoseSpec
from poise_models.filters.savitzky_golay import SavitzkyGolay, SavitzkyGolayConfig

SPEC = PoseSpec(joints=2, dims=3)
WALK = sequence(70, SPEC).cumsum(0)
FILTER = SavitzkyGolay(SPEC, SavitzkyGolayConfig())


def test_savgol_is_scipys() -> None:
    expected = savgol_filter(WALK.numpy(), 31, 2, axis=0)
    np.testing.assert_allclose(FILTER.filter(WALK), expected, rtol=1e-6)


@pytest.mark.parametrize(("frames", "window"), [(30, 29), (31, 31), (4, 3)])
def test_savgol_takes_the_longest_odd_window_that_fits(frames: int, window: int) -> None:
    sequence = torch.randn(frames, SPEC.channels)
    expected = savgol_filter(sequence.numpy(), window, 2, axis=0)
    np.testing.assert_allclose(FILTER.filter(sequence), expected, rtol=1e-5, atol=1e-6)
