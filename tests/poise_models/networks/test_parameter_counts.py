"""Weights that receive a gradient, against those of the official code.

Our SynSP, SynSP++ and SmoothNet have exactly as many as the official code trains. What differs is
how many there are in all: the official checkpoints also hold self-attention in every decoder layer,
an embedding and a last LayerNorm in every stack, and SynSP's second projections, which no forward
pass reaches. We do not build those. Two of our defaults share out the same number differently:

- ``branches: split`` gives the position and the acceleration branch a last layer each, where the
  official code applies the trunk's last layer once more for both.
- SynSP's view encoding is a table without weights, so one view and four have the same number.
"""

from typing import Any

import pytest
import torch

from poise_models.base.batch import Batch
from poise_models.base.pose_spec import PoseSpec
from poise_models.base.window_refiner import WindowRefiner
from poise_models.errors import ConfigError
from poise_models.networks.poise import Poise, PoiseConfig
from poise_models.networks.smoothnet import SmoothNet, SmoothNetConfig
from poise_models.networks.synsp import SynSP, SynSPConfig
from poise_models.networks.synspp import SynSPP, SynSPPConfig

SPECS = {
    51: PoseSpec(17, 3),
    42: PoseSpec(14, 3),
    32: PoseSpec(16, 2, (), centre=False),
    144: PoseSpec(24, 6, (), centre=False),
}
ALL = ("retrieval", "distance_encoding", "refine_decoder", "quality_encoding")
ENCODER_LAYER, DECODER_LAYER = 197_376, 361_472 - 163_840 - 256
PROJECTION, HEAD = 51 * 128 + 128 + 128 * 128 + 128, 128 * 256 + 256 + 256 * 51 + 51
ENCODER, DECODER = PROJECTION + 5 * ENCODER_LAYER, 5 * DECODER_LAYER
PLAIN, REFINE = ENCODER + DECODER + HEAD, 3 * DECODER + 2 * HEAD
#: Rows of Table VII: what is on, and the weights of the parts that are left.
TABLE_VII: list[tuple[tuple[str, ...], int]] = [
    ((), PLAIN),
    (("retrieval",), PLAIN + ENCODER),
    (("retrieval", "distance_encoding"), PLAIN + ENCODER + 2),
    (("refine_decoder",), PLAIN + REFINE),
    (("refine_decoder", "quality_encoding"), PLAIN + REFINE),
    (("retrieval", "refine_decoder"), PLAIN + ENCODER + REFINE),
    (ALL, 6_106_011),
]


def synspp(channels: int = 51, **settings: Any) -> SynSPP:
    return SynSPP(SPECS[channels], SynSPPConfig(**settings))


def synsp(channels: int = 51, **settings: Any) -> SynSP:
    return SynSP(SPECS[channels], SynSPConfig(**settings))


def smoothnet(**settings: Any) -> SmoothNet:
    return SmoothNet(SPECS[51], SmoothNetConfig(**settings))


def trained(network: WindowRefiner) -> int:
    """Weights that a step of training would change."""
    views = network.config.views if isinstance(network, SynSP) else 1
    torch.manual_seed(0)
    detected, truth = torch.randn(2, 4, views, network.window, network.spec.channels)
    if views == 1:
        detected, truth = detected[:, 0], truth[:, 0]
    network.loss(Batch(detected, truth, detected[:, None], torch.rand(4, 1))).backward()
    return sum(p.numel() for p in network.parameters() if p.grad is not None)


@pytest.mark.parametrize("branches", ["split", "shared"])
@pytest.mark.parametrize(
    ("channels", "weights"), [(51, 6_106_011), (42, 6_096_768), (32, 6_086_498), (144, 6_201_522)]
)
def test_synspp(channels: int, weights: int, branches: str) -> None:
    network = synspp(channels, branches=branches)
    assert network.parameter_count() == weights == trained(network)


@pytest.mark.parametrize(("on", "weights"), TABLE_VII, ids=range(1, 8))
def test_synspp_without_parts(on: tuple[str, ...], weights: int) -> None:
    network = synspp(**{name: name in on for name in ALL})
    assert network.parameter_count() == weights == trained(network)


def test_synspp_without_the_sigmoid() -> None:
    assert synspp(sde="distance").parameter_count() == 6_106_011 - 2


@pytest.mark.parametrize("views", [1, 2, 4])
@pytest.mark.parametrize(
    ("channels", "weights"), [(51, 2_795_289), (42, 2_787_198), (32, 2_778_208), (144, 2_878_896)]
)
def test_synsp(channels: int, weights: int, views: int) -> None:
    network = synsp(channels, views=views)
    assert network.parameter_count() == weights == trained(network)


def test_synsp_of_other_sizes() -> None:
    assert synsp(144, width=256, feed_forward=256).parameter_count() == 7_035_312
    assert synsp(branches="shared").parameter_count() == trained(synsp(branches="shared"))


def test_poise() -> None:
    network = Poise(PoseSpec(17, 3), PoiseConfig())
    assert network.parameter_count() == 311_679 == trained(network)


@pytest.mark.parametrize(
    ("settings", "weights"),
    [
        ({"window": 8}, 667_272),
        ({"window": 16}, 675_472),
        ({"window": 32}, 691_872),
        ({"window": 64}, 724_672),
        # pw3d_spin_3D: one block with a bottleneck of 16.
        ({"window": 8, "residual": 16, "blocks": 1}, 25_624),
        ({"window": 32, "residual": 16, "blocks": 1}, 50_224),
    ],
    ids=str,
)
def test_smoothnet(settings: dict[str, Any], weights: int) -> None:
    network = smoothnet(**settings)
    assert network.parameter_count() == weights == trained(network)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"retrieval": False}, "distance_encoding to false"),
        ({"refine_decoder": False}, "quality_encoding to false"),
    ],
)
def test_parts_that_need_others(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SynSPPConfig(**settings)
