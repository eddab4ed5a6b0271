"""Gaussian against SciPy's, in blocks and over a sequence."""

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d

from poise_models.base.pose_spec import PoseSpec
from poise_models.filters.gaussian import Gaussian1d, Gaussian1dConfig

SPEC = PoseSpec(joints=2, dims=3)


def random_walk() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(70, SPEC.channels, generator=generator).cumsum(0)


def test_gaussian_filters_blocks_of_31_and_leaves_the_rest() -> None:
    sequence = random_walk()
    out, raw = Gaussian1d(SPEC, Gaussian1dConfig()).filter(sequence), sequence.numpy()
    for start in (0, 31):
        expected = gaussian_filter1d(raw[start : start + 31], 3, axis=0)
        np.testing.assert_allclose(out[start : start + 31], expected, rtol=1e-6)
    np.testing.assert_array_equal(out[62:], raw[62:])


def test_gaussian_without_blocks_filters_the_sequence() -> None:
    sequence = random_walk()
    whole = Gaussian1d(SPEC, Gaussian1dConfig(block=0))
    expected = gaussian_filter1d(sequence.numpy(), 3, axis=0)
    np.testing.assert_allclose(whole.filter(sequence), expected, rtol=1e-6)
