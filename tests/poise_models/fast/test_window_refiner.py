"""Networks on several threads give what plain networks give, chunk after chunk."""

from collections.abc import Iterator

import pytest
import torch
from tests.support.small_refiners import NETWORKS, SPECS, found, network, sequence

from poise_models.base.window_refiner import WindowRefiner
from poise_models.fast.window_refiner import FastWindowRefiner


@pytest.fixture(autouse=True)
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", NETWORKS)
def test_both_predict_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    refiner = network(name, SPECS["3D"])
    assert isinstance(refiner, FastWindowRefiner)
    monkeypatch.setattr(type(refiner), "chunk", 8)
    inputs = refiner.inputs_of(found(refiner, sequence(150, refiner.spec)))
    fast, plain = refiner.predict(*inputs), WindowRefiner.predict(refiner, *inputs)
    torch.testing.assert_close(fast.poses_BTC, plain.poses_BTC, atol=1e-5, rtol=1e-5)
    if plain.quality_BT is not None:
        torch.testing.assert_close(fast.quality_BT, plain.quality_BT, atol=1e-5, rtol=1e-5)
