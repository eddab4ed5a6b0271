"""What refining costs."""

import pytest

from poise.catalog.tracks import Track
from poise.checkpoints.checkpoint import pose_spec
from poise.report.cost import frame_macs
from poise_models import catalogue
from poise_models.base.window_refiner import WindowRefiner

SPEC = pose_spec(Track.parse("h36m/fcn/3D"))


def network(name: str, **settings: object) -> WindowRefiner:
    built = catalogue.build(name, SPEC, settings)
    assert isinstance(built, WindowRefiner)
    return built.eval()


def test_multiplications_are_those_of_the_matrix_products() -> None:
    # SmoothNet's layers see the 32 frames of each of 51 coordinates.
    one = network("smoothnet", window=32, hidden=64, residual=16, blocks=1, dropout=0.0)
    by_hand = 51 * (32 * 64 + 64 * 16 + 16 * 64 + 64 * 32)
    assert frame_macs(one) == pytest.approx(by_hand)


@pytest.mark.parametrize(
    ("name", "millions"), [("synspp", 51.5), ("synsp", 23.8), ("smoothnet", 35.1)]
)
def test_networks_at_their_published_size_cost_what_the_benchmarks_count(
    name: str, millions: float
) -> None:
    assert frame_macs(network(name)) / 1e6 == pytest.approx(millions, rel=0.05)
