"""What every refiner promises, whatever it is."""

import pytest
import torch

from poise_models import catalogue
from poise_models.errors import ConfigError, ShapeError, UnknownRefinerError
from poise_models.refiner import Batch, Clip, PoseSpec, Refiner, WindowRefiner

SPECS = {
    "3D": PoseSpec(17, 3, (0,)),
    "2D": PoseSpec(16, 2, (), centre=False),
    "smpl": PoseSpec(24, 6, (), centre=False),
}
SMALL = {
    "synspp": {"width": 16, "feed_forward": 16, "heads": 1, "layers": 1},
    "smoothnet": {"hidden": 32, "residual": 16, "blocks": 1},
}
NETWORKS = [name for name in catalogue.names() if name in ("smoothnet", "synspp")]


def build(name: str, spec: PoseSpec) -> Refiner:
    torch.manual_seed(0)
    return catalogue.build(name, spec, SMALL.get(name, {})).eval()


def clip(frames: int, spec: PoseSpec, seed: int = 0) -> Clip:
    generator = torch.Generator().manual_seed(seed)
    return Clip(torch.randn(frames, spec.channels, generator=generator))


@pytest.mark.parametrize("representation", SPECS)
@pytest.mark.parametrize("name", catalogue.names())
class TestContract:
    def test_frames_out_are_frames_in(self, name: str, representation: str) -> None:
        spec = SPECS[representation]
        refiner = build(name, spec)
        for frames in (1, 2, 7, 8, 9, 31, 33, 70):
            (refined,) = refiner.refine([clip(frames, spec)])
            assert refined.poses_FC.shape == (frames, spec.channels)
            assert refined.poses_FC.dtype == torch.float32
            if refined.quality_F is not None:
                assert refined.quality_F.shape == (frames,)

    def test_does_not_depend_on_batch_neighbours(self, name: str, representation: str) -> None:
        spec = SPECS[representation]
        refiner = build(name, spec)
        clips = [clip(frames, spec, seed) for seed, frames in enumerate((40, 5, 300, 33))]
        together = refiner.refine(clips)
        alone = [refiner.refine([one])[0] for one in reversed(clips)][::-1]
        for a, b in zip(together, alone, strict=True):
            torch.testing.assert_close(a.poses_FC, b.poses_FC, atol=1e-5, rtol=1e-5)

    @pytest.mark.parametrize("value", [0.0, 1.0, 1e6])
    def test_is_finite_on_constant_input(
        self, name: str, representation: str, value: float
    ) -> None:
        spec = SPECS[representation]
        (refined,) = build(name, spec).refine([Clip(torch.full((20, spec.channels), value))])
        assert torch.isfinite(refined.poses_FC).all()

    def test_wrong_width_is_refused(self, name: str, representation: str) -> None:
        spec = SPECS[representation]
        with pytest.raises(ShapeError, match=str(spec.channels)):
            build(name, spec).refine([Clip(torch.zeros(10, spec.channels + 1))])

    def test_no_clips_give_nothing(self, name: str, representation: str) -> None:
        assert build(name, SPECS[representation]).refine([]) == []


@pytest.mark.parametrize("name", NETWORKS)
def test_world_motion_passes_through_3d_networks(name: str) -> None:
    spec = SPECS["3D"]
    refiner = build(name, spec)
    still = clip(40, spec)
    shift = torch.tensor([5.0, -3.0, 100.0]).repeat(spec.joints)
    (here,) = refiner.refine([still])
    (there,) = refiner.refine([Clip(still.detected_FC + shift)])
    torch.testing.assert_close(there.poses_FC - shift, here.poses_FC, atol=1e-3, rtol=0)


@pytest.mark.parametrize("representation", SPECS)
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_learn(name: str, representation: str) -> None:
    spec = SPECS[representation]
    torch.manual_seed(0)
    network = catalogue.build(name, spec, SMALL.get(name, {}))
    assert isinstance(network, WindowRefiner)
    truth = torch.randn(64, network.window, spec.channels).cumsum(1) * 0.1
    detected = truth + 0.1
    batch = Batch(detected, truth, detected, torch.ones(64))
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    losses = []
    for _ in range(30):
        loss = network.loss(batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    assert all(p.grad is not None for p in network.parameters() if p.requires_grad)


def test_unknown_names_and_settings_say_what_there_is() -> None:
    with pytest.raises(UnknownRefinerError, match="did you mean synspp"):
        catalogue.build("synsp", SPECS["3D"])
    with pytest.raises(ConfigError, match=r"widht.*it has .*width"):
        catalogue.build("synspp", SPECS["3D"], {"widht": 3})
    with pytest.raises(ConfigError, match="window"):
        catalogue.build("synspp", SPECS["3D"], {"window": 1})
