"""GFPose's walk is the same whether time's share is worked out once or at every step."""

import pytest
import torch

from poise_models.base.pose_spec import PoseSpec
from poise_models.networks.gfpose import GFPose, GFPoseConfig, noise_at_times

SPEC = PoseSpec(5, 3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("windows", [1, 7])
def test_both_walks_end_alike(windows: int, dtype: torch.dtype) -> None:
    config = GFPoseConfig(hidden=64, embedding=16, blocks=1, steps=5)
    torch.manual_seed(0)
    fast, plain = GFPose(SPEC, config), GFPose(SPEC, config, noise_of=noise_at_times)
    plain.load_state_dict(fast.state_dict())
    poses = torch.randn(windows, 1, SPEC.channels, dtype=dtype)
    ends, gradients = [], []
    for network in (fast.eval().to(dtype), plain.eval().to(dtype)):
        walked = network(poses, poses, poses).poses_BTC
        walked.square().sum().backward()
        ends.append(walked.detach())
        gradients.append([weight.grad for weight in network.parameters()])
    close = 1e-4 if dtype == torch.float32 else 1e-9
    torch.testing.assert_close(ends[0], ends[1], atol=close, rtol=close)
    if dtype == torch.float64:  # a walk's gradients amplify what float32 rounds off
        torch.testing.assert_close(gradients[0], gradients[1], atol=close, rtol=close)
