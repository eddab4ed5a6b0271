"""The diffusion against its definition."""

import torch

from poise_models.networks.diffusion import SubVP


def test_diffusion_has_the_published_marginals_and_flow() -> None:
    sde = SubVP()
    t = torch.linspace(1e-4, 1, 50, dtype=torch.float64, requires_grad=True)
    integral = 0.1 * t + 19.9 * t**2 / 2
    torch.testing.assert_close(sde.mean(t), torch.exp(-integral / 2))
    torch.testing.assert_close(sde.deviation(t), 1 - torch.exp(-integral))
    # Along the flow x = mean x0 + deviation z, with x0 and z held: its derivative is the flow.
    x0, z = 0.7, -1.3
    x = sde.mean(t) * x0 + sde.deviation(t) * z
    (slope,) = torch.autograd.grad(x.sum(), t)
    pose, noise = sde.flow(t)
    torch.testing.assert_close(slope, pose * x + noise * z)
