"""One-Euro against its definition."""

import numpy as np
import torch
from tests.support.small_refiners import sequence

from poise_models.base.pose_spec import PoseSpec
from poise_models.filters.one_euro import OneEuro, OneEuroConfig

SPEC = PoseSpec(joints=2, dims=3)
WALK = sequence(70, SPEC).cumsum(0)
FILTER = OneEuro(SPEC, OneEuroConfig())


def test_oneeuro_equals_its_definition_sample_by_sample() -> None:

    def gain(cutoff: float) -> float:
        tau = 1 / (2 * np.pi * cutoff)
        return 1 / (1 + tau)

    raw = WALK[:, 0].double().tolist()
    smooth, speed, expected = raw[0], 0.0, [raw[0]]
    for x in raw[1:]:
        speed = gain(1.0) * (x - smooth) + (1 - gain(1.0)) * speed
        a = gain(0.04 + 0.7 * abs(speed))
        smooth = a * x + (1 - a) * smooth
        expected.append(smooth)
    np.testing.assert_allclose(FILTER.filter(WALK)[:, 0], expected, rtol=1e-4, atol=1e-5)


def test_oneeuro_measures_speed_relative_to_the_root() -> None:
    walk = torch.linspace(0, 50, len(WALK))[:, None, None].expand(-1, 2, 3).flatten(1)
    root = torch.cat([WALK[:, :3]] * 2, dim=1)
    still, walking = (FILTER.filter(s).numpy() for s in (WALK - root, WALK - root + walk))
    np.testing.assert_allclose(walking[:, 3:] - walking[:, :3], still[:, 3:], atol=1e-4)
