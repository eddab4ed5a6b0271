"""SynSP++: what reaches its output, and what its switches do."""

from typing import Any

import pytest
import torch

from poise_models.base.batch import Batch
from poise_models.base.losses import refinement_loss
from poise_models.base.pose_spec import PoseSpec
from poise_models.networks.dct import low_pass_matrix
from poise_models.networks.synspp import SynSPP, SynSPPConfig

SPEC = PoseSpec(17, 3)
SMALL: dict[str, Any] = {"width": 16, "feed_forward": 16, "heads": 1, "layers": 2, "dropout": 0.0}


def network(**settings: Any) -> SynSPP:
    torch.manual_seed(0)
    return SynSPP(SPEC, SynSPPConfig(**settings))


def batch(seed: int = 0) -> Batch:
    torch.manual_seed(seed)
    detected, truth, neighbour = torch.randn(3, 4, 8, 51)
    return Batch(detected, truth, neighbour[:, None], torch.rand(4, 1))


def test_shared_branches_coincide_before_the_heads() -> None:
    net = network(**SMALL, branches="shared").eval()
    decoder = net.branch_decoder
    decoder.acceleration_head.load_state_dict(decoder.position_head.state_dict())
    b = batch()
    position, smooth, _, _ = net.outputs(b.detected_BTC, b.neighbours_BKTC, b.distances_BK)
    assert position is not None
    assert smooth is not None
    torch.testing.assert_close(position, smooth)


@pytest.mark.parametrize(
    "switch",
    [
        {"input": "pose"},
        {"branches": "shared"},
        {"self_attention": True},
        {"pqe_max": "joints"},
        {"sde": "distance"},
        {"skip": "low", "skip_coefficients": 2},
        {"skip": "input"},
    ],
    ids=str,
)
def test_every_switch_changes_the_output_and_trains(switch: dict[str, Any]) -> None:
    b = batch()
    plain, switched = network(**SMALL), network(**SMALL, **switch)
    for net in (plain, switched):
        loss = net.loss(b)
        loss.backward()
        assert torch.isfinite(loss)
    arguments = (b.detected_BTC, b.neighbours_BKTC, b.distances_BK)
    assert not torch.allclose(plain(*arguments).poses_BTC, switched(*arguments).poses_BTC)


def test_a_fresh_network_with_a_skip_is_the_skip() -> None:
    net = network(**SMALL, skip="low", skip_coefficients=2).eval()
    b = batch()
    smooth = low_pass_matrix(8, 2) @ b.detected_BTC
    out = net(b.detected_BTC, b.neighbours_BKTC, b.distances_BK).poses_BTC
    torch.testing.assert_close(out, smooth, atol=1e-5, rtol=0)
    net.start_from(torch.full((51,), 0.1))
    out = net(b.detected_BTC, b.neighbours_BKTC, b.distances_BK).poses_BTC
    torch.testing.assert_close(out, smooth - 0.1, atol=1e-5, rtol=0)


def test_neighbour_and_distance_reach_the_output() -> None:
    net = network(**SMALL).eval()
    b = batch()
    out = net(b.detected_BTC, b.neighbours_BKTC, b.distances_BK).poses_BTC
    other = net(b.detected_BTC, b.neighbours_BKTC + 1, b.distances_BK).poses_BTC
    farther = net(b.detected_BTC, b.neighbours_BKTC, b.distances_BK + 5).poses_BTC
    assert not torch.allclose(out, other)
    assert not torch.allclose(out, farther)


def test_without_retrieval_neighbours_are_not_looked_at() -> None:
    net = network(**SMALL, retrieval=False, distance_encoding=False).eval()
    assert not net.uses_neighbours
    b = batch()
    out = net(b.detected_BTC, b.neighbours_BKTC, b.distances_BK)
    other = net(b.detected_BTC, b.neighbours_BKTC + 1, b.distances_BK + 1)
    assert torch.equal(out.poses_BTC, other.poses_BTC)
    assert out.quality_BT is not None


def test_the_baseline_is_an_encoder_and_a_decoder() -> None:
    off = ("retrieval", "distance_encoding", "refine_decoder", "quality_encoding")
    net = network(**SMALL, **dict.fromkeys(off, False)).eval()
    parts = {name.split(".")[0] for name, _ in net.named_parameters()}
    assert parts == {"detected_encoder", "global_decoder", "head"}
    b = batch()
    out = net(b.detected_BTC, b.neighbours_BKTC, b.distances_BK)
    assert out.quality_BT is None
    expected = refinement_loss(out.poses_BTC, b.truth_BTC, 0.5)
    torch.testing.assert_close(net.loss(b), expected)
