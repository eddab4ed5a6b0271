"""A compiled network refines as it did before."""

import shutil

import pytest
import torch
from tests.poise_models.small import SPECS, found, network

from poise_models.compiling import compile_refine
from poise_models.refiner import WindowRefiner

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("g++") is None, reason="compiling needs g++"),
]


@pytest.fixture
def chunks_of_8(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WindowRefiner, "chunk", 8)


@pytest.mark.parametrize("name", ["synspp", "smoothnet"])
@pytest.mark.usefixtures("chunks_of_8")
def test_it_refines_alike_until_its_weights_change(name: str) -> None:
    refiner = network(name, SPECS["3D"])
    torch.manual_seed(0)
    clips = [found(refiner, torch.randn(frames, 51)) for frames in (5, 30, 41)]
    expected = refiner.refine(clips)
    compile_refine(refiner)
    assert refiner.compiled is not None
    for got, wanted in zip(refiner.refine(clips), expected, strict=True):
        torch.testing.assert_close(got.poses_FC, wanted.poses_FC, atol=1e-5, rtol=1e-5)
        if wanted.quality_F is not None:
            torch.testing.assert_close(got.quality_F, wanted.quality_F, atol=1e-5, rtol=1e-5)
    compiled = refiner.compiled
    refiner.train()
    assert refiner.compiled is None
    refiner.compiled = compiled
    refiner.load_state_dict({key: weight * 0.5 for key, weight in refiner.state_dict().items()})
    assert refiner.compiled is None
