"""DeciWatch: published sizes, what it never looks at, and that it learns."""

from typing import Any

import pytest
import torch
from torch import Tensor

from poise_models.base.batch import Batch
from poise_models.base.pose_spec import PoseSpec
from poise_models.errors import ConfigError
from poise_models.networks.deciwatch import DeciWatch, DeciWatchConfig
from poise_models.networks.sampled import SampledEncoderLayer, sine_encoding

SPECS = {
    "3D": PoseSpec(17, 3, (0,)),
    "2D": PoseSpec(15, 2, (), centre=False),
    "smpl": PoseSpec(24, 6, (), centre=False),
}
TINY: dict[str, Any] = {
    "window": 21,
    "interval": 5,
    "stride": 5,
    "width": 16,
    "layers": 1,
    "feed_forward": 16,
    "dropout": 0.0,
}
PUBLISHED = [
    (SPECS["3D"], {}, 1_709_414),
    (PoseSpec(14, 3), {}, 1_700_180),
    (PoseSpec(14, 3), {"width": 32}, 242_708),
    (PoseSpec(14, 3), {"width": 12}, 78_268),
    (SPECS["smpl"], {"pre_norm": False}, 1_804_576),
    (SPECS["smpl"], {"pre_norm": False, "layers": 3, "width": 32}, 176_288),
    (SPECS["smpl"], {"pre_norm": False, "layers": 3}, 1_142_048),
    (SPECS["smpl"], {"pre_norm": False, "layers": 3, "width": 16}, 79_840),
    (SPECS["2D"], {"pre_norm": False, "window": 11, "stride": 1}, 1_687_612),
]


def network(representation: str = "3D", **settings: Any) -> DeciWatch:
    torch.manual_seed(0)
    return DeciWatch(SPECS[representation], DeciWatchConfig(**settings)).eval()


def run(built: DeciWatch, detected_BTC: Tensor) -> Tensor:
    with torch.no_grad():
        return built.branches(detected_BTC)[0]


def motion(windows: int, length: int, spec: PoseSpec) -> Tensor:
    """Smooth motion, (B, T, C): every channel a wave of its own speed and phase."""
    phase, speed = torch.rand(2, windows, 1, spec.channels)
    time = torch.arange(length)[:, None]
    return torch.sin(6.3 * phase + (0.05 + 0.15 * speed) * time)


@pytest.mark.parametrize(("spec", "settings", "weights"), PUBLISHED)
def test_published_sizes(spec: PoseSpec, settings: dict[str, Any], weights: int) -> None:
    with torch.device("meta"):
        assert DeciWatch(spec, DeciWatchConfig(**settings)).parameter_count() == weights


@pytest.mark.parametrize("representation", SPECS)
def test_never_looks_at_the_frames_between(representation: str) -> None:
    built = network(representation)
    seen = torch.randn(2, 101, SPECS[representation].channels)
    other = torch.randn_like(seen)
    other[:, ::10] = seen[:, ::10]
    assert torch.equal(run(built, seen), run(built, other))
    other[:, 50] += 1.0
    assert not torch.equal(run(built, seen), run(built, other))


def test_encoding_only_sampled_frames_is_masking_all_others() -> None:
    # The published network carries all 101 tokens and masks 90 of them, and every frame itself.
    built = network()
    poses = torch.randn(2, 101, 51)
    hidden = torch.ones(101, dtype=torch.bool)
    hidden[::10] = False
    x, position = built.embed(poses), sine_encoding(101, 128)
    for layer in built.encoder:
        assert isinstance(layer, SampledEncoderLayer)
        mask = torch.eye(101, dtype=torch.bool) | hidden
        x = layer.feed_forward(layer.attention(x, position, mask_LM=mask))
    torch.testing.assert_close(built.denoise(poses)[1], built.norm(x)[:, ::10])


def test_untrained_correction_aside_frames_lie_on_straight_lines() -> None:
    built = network(representation="2D")
    for head in (built.head, built.recovery.head):
        torch.nn.init.zeros_(head.weight)
        torch.nn.init.zeros_(head.bias)
    slope = torch.linspace(0, 1, 101)[None, :, None].expand(1, 101, 30)
    torch.testing.assert_close(run(built, slope), slope)


def test_sine_encoding_is_one_turn_over_the_window() -> None:
    encoding = sine_encoding(101, 8)
    assert encoding.shape == (101, 8)
    torch.testing.assert_close(encoding[0], torch.tensor([0.0, 1.0] * 4))
    torch.testing.assert_close(encoding[25, :2], torch.tensor([1.0, 0.0]), atol=1e-6, rtol=0)
    torch.testing.assert_close(encoding[100, :2], encoding[0, :2], atol=1e-5, rtol=0)


def test_learns_smooth_motion_with_norms_after_its_layers_too() -> None:
    spec = SPECS["3D"]
    settings = TINY | {"width": 32, "feed_forward": 64, "pre_norm": False}
    built = network(**settings).train()
    optimiser = torch.optim.Adam(built.parameters(), lr=2e-3, amsgrad=True)
    for _ in range(80):
        truth = motion(32, 21, spec)
        detected = truth + 0.3 * torch.randn_like(truth)
        loss = built.loss(Batch.without_neighbours(detected, truth))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert all(p.grad is not None for p in built.parameters())
    truth = motion(64, 21, spec)
    detected = truth + 0.3 * torch.randn_like(truth)
    refined = run(built.eval(), detected)
    assert (refined - truth).abs().mean() < 0.9 * (detected - truth).abs().mean()


@pytest.mark.parametrize(
    "settings",
    [
        {"window": 100},
        {"interval": 101},
        {"stride": 0},
        {"stride": 102},
        {"width": 30},
        {"layers": 0},
        {"recovered": 0.0},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        DeciWatchConfig(**settings)
