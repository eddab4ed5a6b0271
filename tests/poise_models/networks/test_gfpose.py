"""GFPose: the diffusion against its definition, the sampler, and a prior learnt in seconds."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load, save

from poise_models.base.batch import Batch, Prediction
from poise_models.base.clip import Clip
from poise_models.base.pose_spec import PoseSpec
from poise_models.errors import ConfigError
from poise_models.networks.diffusion import SubVP
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


@every_spec
@every_pace
class TestContract:
    def test_frames_out_are_frames_in(self, spec: PoseSpec, pace: str) -> None:
        network = small(spec, pace=pace, start=0.1)
        for frames in (1, 2, 7, 33):
            (refined,) = network.refine([Clip(torch.randn(frames, spec.channels))])
            assert refined.poses_FC.shape == (frames, spec.channels)
            assert refined.poses_FC.dtype == torch.float32

    @pytest.mark.parametrize("value", [0.0, 1.0, 1e6])
    def test_is_finite(self, spec: PoseSpec, pace: str, value: float) -> None:
        poses = torch.full((5, spec.channels), value)
        poses[1:] *= torch.randn(4, spec.channels)
        (refined,) = small(spec, pace=pace, start=0.1).refine([Clip(poses)])
        assert torch.isfinite(refined.poses_FC).all()

    def test_frames_do_not_see_each_other(self, spec: PoseSpec, pace: str) -> None:
        network = small(spec, pace=pace, start=0.1)
        poses = torch.randn(40, spec.channels)
        (together,) = network.refine([Clip(poses)])
        (backwards,) = network.refine([Clip(poses.flip(0))])
        alone = torch.cat([r.poses_FC for r in network.refine([Clip(p[None]) for p in poses])])
        torch.testing.assert_close(backwards.poses_FC.flip(0), together.poses_FC, atol=1e-5, rtol=0)
        torch.testing.assert_close(alone, together.poses_FC, atol=1e-5, rtol=0)

    def test_weights_survive_a_file(self, spec: PoseSpec, pace: str) -> None:
        network = small(spec, pace=pace, start=0.1)
        torch.manual_seed(7)
        other = GFPose(spec, network.config).eval()
        other.load_state_dict(load(save(network.state_dict())))
        clip = Clip(torch.randn(9, spec.channels))
        assert torch.equal(other.refine([clip])[0].poses_FC, network.refine([clip])[0].poses_FC)


def test_world_motion_passes_through_in_3d() -> None:
    network = small(SPECS["3D"])
    poses = torch.randn(20, 51)
    shift = torch.tensor([5.0, -3.0, 100.0]).repeat(17)
    here, there = network.refine([Clip(poses), Clip(poses + shift)])
    torch.testing.assert_close(there.poses_FC - shift, here.poses_FC, atol=1e-3, rtol=0)


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


@every_spec
def test_one_call_of_the_network_exports(spec: PoseSpec) -> None:
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


def test_a_short_walk_exports_whole() -> None:
    network = small(SPECS["3D"], steps=4)
    poses = torch.randn(3, 1, 51)
    arguments = (poses, poses, torch.ones(3))

    class Poses(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, *windows: torch.Tensor) -> torch.Tensor:
            prediction: Prediction = self.network(*windows)
            return prediction.poses_BTC

    program = torch.export.export(Poses(), arguments, strict=False).module()
    torch.testing.assert_close(
        program(*arguments), network(*arguments).poses_BTC, atol=1e-5, rtol=0
    )


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
