"""A compiled network refines as it did before."""

import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from tests.support.small_refiners import SPECS, found, network

from poise_models.base.clip import Clip, Refined
from poise_models.base.window_refiner import WindowRefiner
from poise_models.fast.compiling import compile_refine
from poise_models.fast.window_refiner import FastWindowRefiner

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("g++") is None, reason="compiling needs g++"),
]


@pytest.fixture
def chunks_of_8(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WindowRefiner, "chunk", 8)


def _without_compiling_again(refiner: WindowRefiner, clips: list[Clip]) -> list[Refined]:
    with torch.compiler.set_stance("fail_on_recompile"):
        return refiner.refine(clips)


@pytest.mark.parametrize(
    ("name", "settings"), [("synspp", {"branches": "shared"}), ("smoothnet", {})]
)
@pytest.mark.usefixtures("chunks_of_8")
def test_it_refines_alike_until_its_weights_change(name: str, settings: dict[str, str]) -> None:
    refiner = network(name, SPECS["3D"], **settings)
    assert isinstance(refiner, FastWindowRefiner)
    torch.manual_seed(0)
    clips = [found(refiner, torch.randn(frames, 51)) for frames in (5, 30, 41)]
    expected = refiner.refine(clips)
    compile_refine(refiner)
    assert refiner.compiled is not None
    # Where a service refines: on another thread than the one that compiled.
    with ThreadPoolExecutor(1) as other:
        refined = other.submit(_without_compiling_again, refiner, clips).result()
    for got, wanted in zip(refined, expected, strict=True):
        torch.testing.assert_close(got.poses_FC, wanted.poses_FC, atol=1e-5, rtol=1e-5)
        if wanted.quality_F is not None:
            torch.testing.assert_close(got.quality_F, wanted.quality_F, atol=1e-5, rtol=1e-5)
    compiled = refiner.compiled
    refiner.train()
    assert refiner.compiled is None
    refiner.compiled = compiled
    refiner.load_state_dict({key: weight * 0.5 for key, weight in refiner.state_dict().items()})
    assert refiner.compiled is None
