"""GFPose: the diffusion against its definition, the sampler, and a prior learnt in seconds."""

from dataclasses import replace

import pytest
import torch

from poise_models.base.batch import Batch
from poise_models.base.clip import Clip
from poise_models.base.pose_spec import PoseSpec
from poise_models.errors import ConfigError
from poise_models.networks.gfpose import GFPose, GFPoseConfig

SPECS = {
    "3D": PoseSpec(17, 3, (0,)),
    "2D": PoseSpec(16, 2, (), centre=False),
    "smpl": PoseSpec(24, 6, (), centre=False),
}
SMALL = GFPoseConfig(hidden=64, embedding=16, blocks=1, dropout=0.0, steps=25)
every_spec = pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
every_pace = pytest.mark.parametrize("pace", ["flow", "official"])


def small(spec: PoseSpec, **changes: object) -> GFPose:
    torch.manual_seed(0)
    return GFPose(spec, replace(SMALL, **changes)).eval()  # type: ignore[arg-type]


def windows(truth_FC: torch.Tensor) -> Batch:
    truth = truth_FC[:, None]
    return Batch.without_neighbours(truth, truth)


def manifold(poses: int) -> torch.Tensor:
    """Three joints on circles that two angles turn: (B, 9)."""
    a, b = (torch.rand(2, poses) - 0.5) * 3
    elbow = torch.stack([a.cos(), a.sin(), torch.zeros(poses)], dim=1)
    hand = elbow + torch.stack([(a + b).cos(), (a + b).sin(), b.sin()], dim=1)
    return torch.cat([torch.zeros(poses, 3), elbow, hand], dim=1)


def root_error(poses: torch.Tensor, truth: torch.Tensor) -> float:
    apart = (poses - truth).unflatten(1, (-1, 3))
    return float((apart - apart[:, :1]).norm(dim=-1).mean())


@pytest.fixture(scope="module")
def trained() -> GFPose:
    torch.manual_seed(0)
    network = GFPose(PoseSpec(3, 3, (0,)), replace(SMALL, hidden=128, scale=3.0))
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.01, 300)
    for _ in range(300):
        loss = network.loss(windows(manifold(128)))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return network.eval()


@pytest.mark.parametrize(("width", "weights"), [(51, 12_504_627), (42, 12_476_970)])
def test_weights_are_the_published_12_5_million(width: int, weights: int) -> None:
    network = GFPose(PoseSpec(width // 3, 3, (0,)), GFPoseConfig())
    assert network.parameter_count() == weights


def test_walk_with_exact_noise_ends_where_the_flow_does() -> None:
    """Of N(0, 1) poses the noise is known, and the flow only undoes how their spread changed."""
    network = small(SPECS["3D"], steps=1000)
    sde, start = network.sde, torch.tensor(network.config.start)
    x = 2 * sde.mean(start)
    steps = zip(network.times_S, network.keep, network.take, strict=True)
    for time, keep, take in steps:
        variance = sde.mean(time) ** 2 + sde.deviation(time) ** 2
        x = keep * x - take * sde.deviation(time) / variance * x
    spread = (sde.mean(start) ** 2 + sde.deviation(start) ** 2).sqrt()
    torch.testing.assert_close(x, 2 * sde.mean(start) / spread, atol=1e-3, rtol=0)


@pytest.mark.parametrize("sigma", [0.15, 0.3])
def test_sampler_takes_noise_off_what_it_learnt(trained: GFPose, sigma: float) -> None:
    torch.manual_seed(1)
    truth = manifold(400)
    noisy = truth + sigma * torch.randn_like(truth)
    (refined,) = trained.refine([Clip(noisy)])
    assert root_error(refined.poses_FC, truth) < 0.75 * root_error(noisy, truth)
    (clean,) = trained.refine([Clip(truth)])
    assert root_error(clean.poses_FC, truth) < 0.12


def test_condition_is_the_detection_only_where_asked_for() -> None:
    poses, other = torch.randn(2, 6, 1, 51)
    for conditional in (False, True):
        network = small(SPECS["3D"], conditional=conditional)
        losses = []
        for detected in (poses, other):
            torch.manual_seed(0)
            losses.append(network.loss(Batch.without_neighbours(detected, poses)).item())
        assert (losses[0] != losses[1]) is conditional
        assert torch.isfinite(network(poses, poses, torch.ones(6)).poses_BTC).all()


def test_one_call_of_the_network_exports() -> None:
    spec = SPECS["3D"]
    network = small(spec)
    arguments = (
        torch.randn(4, spec.channels),
        torch.rand(4),
        torch.zeros(4, spec.channels),
    )
    batch = torch.export.Dim("batch", min=2)
    shapes = ({0: batch}, {0: batch}, {0: batch})
    program = torch.export.export(
        network.score, arguments, dynamic_shapes=shapes, strict=False
    ).module()
    more = tuple(torch.cat([a, a, a]) for a in arguments)
    torch.testing.assert_close(program(*more), network.score(*more))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"hidden": 40}, "multiple of 32"),
        ({"steps": 0}, "steps"),
        ({"start": 0.0}, "start"),
        ({"pace": "fast"}, "official or flow"),
        ({"pace": "official", "steps": 15, "start": 0.05}, "more than 20 steps"),
    ],
)
def test_settings_without_sense_are_refused(setting: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        GFPoseConfig(**setting)  # type: ignore[arg-type]
