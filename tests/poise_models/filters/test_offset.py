"""The offset that is fitted is the constant part of the error."""

import torch

from poise_models.base.pose_spec import PoseSpec
from poise_models.base.refiner import Pair
from poise_models.filters.offset import Offset, OffsetConfig

SPEC = PoseSpec(joints=2, dims=3)


def test_offset_removes_a_constant_and_only_that() -> None:
    truth = torch.randn(50, SPEC.channels)
    constant = torch.tensor([0, 0, 0, 0.1, -0.2, 0.3])
    wandering = torch.randn(50, 1, 3).expand(50, 2, 3).reshape(50, 6)
    refiner = Offset(SPEC, OffsetConfig())
    refiner.fit([Pair("S1", truth + constant + wandering, truth)])
    torch.testing.assert_close(refiner.offset_C, constant, atol=1e-6, rtol=0)
    torch.testing.assert_close(refiner.filter(truth + constant), truth)
