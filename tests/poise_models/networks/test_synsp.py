"""SynSP: one view, several views of a moment, and people in place of views."""

from typing import Any

import pytest
import torch
from torch import Tensor

from poise_models.base.batch import Batch
from poise_models.base.clip import Clip
from poise_models.base.losses import refinement_loss
from poise_models.base.pose_spec import PoseSpec
from poise_models.errors import ConfigError, ShapeError
from poise_models.networks.synsp import SynSP, SynSPConfig

SPECS = {
    "3D": PoseSpec(17, 3, (0,)),
    "2D": PoseSpec(16, 2, (), centre=False),
    "smpl": PoseSpec(24, 6, (), centre=False),
}
SPEC = SPECS["3D"]
SMALL: dict[str, Any] = {"width": 16, "feed_forward": 16, "heads": 1, "layers": 2, "dropout": 0.0}
KINDS: dict[str, dict[str, Any]] = {
    "one": {},
    "random": {"views": 3, "partners": "random"},
    "similar": {"views": 4, "partners": "similar"},
    "similar two": {"views": 2, "partners": "similar"},
}


def network(spec: PoseSpec = SPEC, **settings: Any) -> SynSP:
    torch.manual_seed(0)
    return SynSP(spec, SynSPConfig(**{**SMALL, **settings})).eval()


def poses(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def batch(detected: Tensor, truth: Tensor) -> Batch:
    return Batch.without_neighbours(detected, truth)


def test_one_view_of_a_moment_is_a_window() -> None:
    net, x_BTC = network(), poses(5, 8, 51)
    one = net(x_BTC, x_BTC, torch.ones(5)).poses_BTC
    views = net(x_BTC.unsqueeze(1), x_BTC, torch.ones(5)).poses_BTC
    assert torch.equal(one, views[:, 0])
    truth = poses(5, 8, 51, seed=1)
    assert net.loss(batch(x_BTC, truth)) == net.loss(batch(x_BTC[:, None], truth[:, None]))


def test_loss_sees_time_and_not_the_order_of_views() -> None:
    net = network(views=4, view_encoding=False)
    truth = poses(6, 4, 8, 51).cumsum(2)
    detected, turn = truth + 0.1 * poses(6, 4, 8, 51, seed=1), [2, 0, 3, 1]
    there, back = (
        net.loss(batch(d, t)) for d, t in ((detected, truth), (detected[:, turn], truth[:, turn]))
    )
    torch.testing.assert_close(there, back, rtol=1e-5, atol=0)

    output_NTC = detected.flatten(0, 1)
    shaken = torch.tensor([1.0, -1.0] * 4)[:, None]
    still = refinement_loss(output_NTC, output_NTC + 1.0, 1.0)
    assert still == pytest.approx(1.0, abs=1e-5)  # a constant error does not accelerate
    assert refinement_loss(output_NTC, output_NTC + shaken, 1.0) > 4


def test_every_loss_is_of_the_output_it_is_meant_for() -> None:
    detected, truth = poses(6, 4, 8, 51), poses(6, 4, 8, 51, seed=1)
    jumpy, both = network(views=4, smoothness=0.0), network(views=4)
    with torch.no_grad():
        position, smooth, final, _ = both.outputs(detected)
    expected = {0.0: 0.0, 1.0: 0.0}
    for output, weight in ((position, 0.0), (smooth, 1.0), (final, 0.5)):
        error = output - truth
        jolt = error.diff(n=2, dim=2).abs().mean()
        expected[0.0] += float(error.abs().mean())
        expected[1.0] += float(error.abs().mean() + weight * jolt)
    assert jumpy.loss(batch(detected, truth)).item() == pytest.approx(expected[0.0])
    assert both.loss(batch(detected, truth)).item() == pytest.approx(expected[1.0])
    assert torch.equal(both(detected, detected, detected).poses_BTC, final)


def test_a_view_does_not_depend_on_the_order_of_the_others() -> None:
    x_BVTC, turn = poses(3, 4, 8, 51), [0, 3, 1, 2]
    for settings in ({"view_encoding": False}, {"partners": "random"}):
        net = network(views=4, **settings)
        here, there = (net(x, x, x).poses_BTC for x in (x_BVTC, x_BVTC[:, turn]))
        torch.testing.assert_close(there, here[:, turn], atol=1e-5, rtol=1e-5)
    cameras = network(views=4)
    assert not torch.allclose(
        cameras(x_BVTC[:, turn], x_BVTC, x_BVTC).poses_BTC[:, 0],
        cameras(x_BVTC, x_BVTC, x_BVTC).poses_BTC[:, 0],
    )


def test_views_inform_each_other_and_each_keeps_its_place_in_the_world() -> None:
    net, x_BVTC = network(views=2), poses(3, 2, 8, 51)
    out = net(x_BVTC, x_BVTC, x_BVTC).poses_BTC
    other = x_BVTC.clone()
    other[:, 1] *= 2
    assert not torch.allclose(net(other, other, other).poses_BTC[:, 0], out[:, 0])
    shift_V11C = torch.stack([torch.full((51,), 3.0), torch.full((51,), -40.0)])[:, None]
    moved = x_BVTC + shift_V11C
    torch.testing.assert_close(
        net(moved, moved, moved).poses_BTC - shift_V11C, out, atol=1e-3, rtol=0
    )


def test_similar_people_reach_the_output_and_missing_ones_are_the_window() -> None:
    net = network(views=4, partners="similar")
    detected = poses(20, 51)
    near, far = poses(13, 3, 8, 51, seed=1), torch.rand(13, 3)
    without = Clip(detected)
    found = without.with_neighbours(near, far)
    (helped,), (lonely,) = net.refine([found]), net.refine([without])
    assert not torch.allclose(helped.poses_FC, lonely.poses_FC)
    both = net.refine([without, found])
    torch.testing.assert_close(both[1].poses_FC, helped.poses_FC, atol=1e-5, rtol=1e-5)
    random = network(views=4, partners="random")
    assert torch.equal(random.refine([without])[0].poses_FC, lonely.poses_FC)
    with pytest.raises(ShapeError, match="reads 3 neighbours of each of 13 windows"):
        net.refine([without.with_neighbours(near[:, :1], far[:, :1])])


@pytest.mark.parametrize("kind", ["one", "random", "views"])
def test_learns(kind: str) -> None:
    net = network(**KINDS.get(kind, {"views": 4}), skip="low")
    shape = (30, 4, 8, 51) if kind == "views" else (31, 8, 51)  # 31 leave a group unfilled
    truth = poses(*shape).cumsum(-2) * 0.1
    samples = batch(truth + 0.1, truth)
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)
    losses = []
    for _ in range(30):
        loss = net.loss(samples)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    assert all(p.grad is not None for p in net.parameters())


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match="partners random need views"):
        SynSPConfig(partners="random")
    with pytest.raises(ConfigError, match="views must be at least 1"):
        SynSPConfig(views=0)
    four = network(views=4)
    with pytest.raises(ShapeError, match="and 5 clips are no whole number of takes"):
        four.refine([Clip(poses(20, 51))] * 5)
    with pytest.raises(ShapeError, match=r"views of a take have \[19, 20\] frames"):
        four.refine([Clip(poses(20, 51))] * 3 + [Clip(poses(19, 51))])
    x = poses(8, 8, 51)
    with pytest.raises(ShapeError, match="they are the views of a moment"):
        four.loss(batch(x, x))
