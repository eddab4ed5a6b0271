"""HANet: published sizes, what it looks at, and its loss."""

from typing import Any

import pytest
import torch
from torch import Tensor

from poise_models.base.batch import Batch
from poise_models.base.pose_spec import PoseSpec
from poise_models.errors import ConfigError
from poise_models.networks.hanet import HANet, HANetConfig

SPECS = {
    "3D": PoseSpec(17, 3, (0,)),
    "2D": PoseSpec(15, 2, (), centre=False),
    "smpl": PoseSpec(24, 6, (), centre=False),
}
TINY: dict[str, Any] = {"window": 21, "width": 8, "layers": 2, "dropout": 0.0}
PUBLISHED = [
    (SPECS["3D"], {}, 17_996_440, 20.1),
    (PoseSpec(14, 3), {"width": 128}, 71_808_080, 80.2),
    (PoseSpec(14, 3), {"width": 32}, 4_515_344, 5.0),
    (SPECS["2D"], {"width": 256, "window": 11, "stride": 1}, 286_899_952, 320.0),
]


def network(representation: str = "3D", **settings: Any) -> HANet:
    torch.manual_seed(0)
    return HANet(SPECS[representation], HANetConfig(**settings)).eval()


def run(built: HANet, detected_BTC: Tensor) -> Tensor:
    with torch.no_grad():
        return built.branches(detected_BTC)[0]


def never_applied(config: HANetConfig) -> int:
    """Weights of the published figure that no input reaches.

    A projection from the widest level to one twice as wide, and a LayerNorm per level.
    """
    widths = [config.width << level for level in range(config.layers)]
    return 2 * widths[-1] * (widths[-1] + 1) + 2 * sum(widths)


@pytest.mark.parametrize(("spec", "settings", "weights", "millions"), PUBLISHED)
def test_published_sizes(
    spec: PoseSpec, settings: dict[str, Any], weights: int, millions: float
) -> None:
    config = HANetConfig(**settings)
    with torch.device("meta"):
        assert HANet(spec, config).parameter_count() == weights
    assert (weights + never_applied(config)) / 1e6 == pytest.approx(millions, rel=0.01)


@pytest.mark.parametrize("representation", SPECS)
def test_looks_at_sampled_frames_and_those_beside_them(representation: str) -> None:
    built = network(representation, **TINY)
    sampled = set(range(0, 21, 5))
    looked_at = {near for frame in sampled for near in (frame - 1, frame, frame + 1)}
    window = torch.randn(2, 21, SPECS[representation].channels)
    before = run(built, window)
    for frame in range(21):
        changed = window.clone()
        changed[:, frame] += torch.randn_like(changed[:, frame])
        assert torch.equal(run(built, changed), before) == (frame not in looked_at), frame


def test_loss_counts_the_worst_half_of_the_channels_twice() -> None:
    class Fixed(HANet):
        def branches(self, detected_BTC: Tensor) -> tuple[Tensor, Tensor]:
            return detected_BTC, self.sampled(detected_BTC) + 1.0

    built = Fixed(SPECS["2D"], HANetConfig(recovered=3.0, refined=0.5, **TINY))
    truth = torch.zeros(2, 21, 30)
    detected = torch.zeros(2, 21, 30)
    detected[:, :, 0] = 2.0
    # A channel: 3 x |final| + 0.5 x |refined| + 0.5 x |refined - final|.
    easy, hard = 0.5 * 1 + 0.5 * 1, 3 * 2 + 0.5 * 3 + 0.5 * 1
    worst = (hard + 14 * easy) / 15
    loss = built.loss(Batch.without_neighbours(detected, truth))
    assert loss.item() == pytest.approx(hard + 29 * easy + worst)


@pytest.mark.parametrize("settings", [{"recovered": 0.0}, {"refined": -1.0}, {"window": 100}])
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        HANetConfig(**settings)
