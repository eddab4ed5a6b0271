"""Gaussian against SciPy's, in blocks and over a sequence."""

import numpy as np
from scipy.ndimage import gaussian_filter1d
from tests.support.small_refiners import sequence

from poise_models.base.pose_spec import PoseSpec
from poise_models.filters.gaussian import Gaussian1d, Gaussian1dConfig

SPEC = PoseSpec(joints=2, dims=3)
WALK = sequence(70, SPEC).cumsum(0)


def test_gaussian_filters_blocks_of_31_and_leaves_the_rest() -> None:
    out, raw = Gaussian1d(SPEC, Gaussian1dConfig()).filter(WALK), WALK.numpy()
    for start in (0, 31):
        expected = gaussian_filter1d(raw[start : start + 31], 3, axis=0)
        np.testing.assert_allclose(out[start : start + 31], expected, rtol=1e-6)
    np.testing.assert_array_equal(out[62:], raw[62:])


def test_gaussian_without_blocks_filters_the_sequence() -> None:
    whole = Gaussian1d(SPEC, Gaussian1dConfig(block=0))
    expected = gaussian_filter1d(WALK.numpy(), 3, axis=0)
    np.testing.assert_allclose(whole.filter(WALK), expected, rtol=1e-6)
