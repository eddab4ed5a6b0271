"""Exported networks return what the network returns, for any number of windows."""

import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.support.small_refiners import NETWORKS, SPECS, network, sequence

from poise_models import export
from poise_models.base.clip import Clip
from poise_models.base.window_refiner import WindowRefiner

pytestmark = pytest.mark.slow
#: Each representation is exported, but not by each network: an export takes seconds.
OF = {name: list(SPECS)[place % len(SPECS)] for place, name in enumerate(NETWORKS)}
#: Shapes that only these settings have: views of a moment, several neighbours.
OTHER: list[tuple[str, dict[str, Any]]] = [
    ("synsp", {"views": 3}),
    ("synsp", {"views": 4, "partners": "similar"}),
]


@cache
def traced(name: str) -> tuple[WindowRefiner, torch.export.ExportedProgram]:
    """A network that has refined before, so that it keeps what it keeps between calls."""
    built = network(name, SPECS[OF[name]])
    built.refine([Clip(sequence(30, built.spec))])
    return built, export.trace(built)


@pytest.fixture(params=NETWORKS)
def built(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> WindowRefiner:
    """Each network, traced once for both kinds of files."""
    built, program = traced(request.param)
    monkeypatch.setattr(export, "trace", lambda network: program)
    return built


def test_onnx_returns_what_the_network_does(built: WindowRefiner, tmp_path: Path) -> None:
    import onnxruntime

    path = tmp_path / "network.onnx"
    export.write_onnx(built, path, {"track": "uiprmd/kinect/3D"})
    assert list(tmp_path.iterdir()) == [path]  # weights inside
    assert export.largest_difference(built, path) < 1e-4
    session = onnxruntime.InferenceSession(path)
    shapes = {one.name: one.shape for one in (*session.get_inputs(), *session.get_outputs())}
    poses = ["batch", built.window, built.spec.channels]
    known = {"detected": poses, "poses": poses, "quality": poses[:2]}
    known["error"] = [*poses[:2], built.spec.joints]
    known |= {"neighbour": poses, "distance": poses[:1]} if built.uses_neighbours else {}
    assert shapes == {name: known[name] for name in shapes}
    assert ("neighbour" in shapes) is built.uses_neighbours
    said = session.get_modelmeta().custom_metadata_map
    assert (said["poise.refiner"], said["poise.track"]) == (built.name, "uiprmd/kinect/3D")
    assert json.loads(said["poise.settings"]) == built.settings()


def test_program_returns_what_the_network_does(built: WindowRefiner, tmp_path: Path) -> None:
    path = tmp_path / "network.pt2"
    export.write_program(built, path, {"track": "mine"})
    assert export.largest_difference(built, path) < 1e-5
    said = {export.ABOUT: ""}
    torch.export.load(path, extra_files=said)
    assert json.loads(said[export.ABOUT]) == export.about(built) | {"track": "mine"}


def test_a_constant_is_in_the_file(tmp_path: Path) -> None:
    built = network("poise", SPECS["3D"])
    built.constant_C = torch.linspace(-1.0, 1.0, built.spec.channels)
    path = tmp_path / "network.pt2"
    export.write_program(built, path)
    windows = export.random_windows(built, 3)["detected"]
    poses, _ = torch.export.load(path).module()(detected=windows)
    wanted = built.predict(windows, windows[:, None], torch.ones(3, 1)).poses_BTC
    torch.testing.assert_close(poses, wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("name", "settings"), OTHER)
def test_views_and_several_neighbours_are_exported(
    name: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    built = network(name, SPECS["3D"], **settings)
    path = tmp_path / "network.pt2"
    export.write_program(built, path)
    assert export.largest_difference(built, path) < 1e-5
    assert 3 in [shape for one in export.random_windows(built, 2).values() for shape in one.shape]


def test_another_network_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "network.pt2"
    built = network("smoothnet", SPECS["3D"])
    export.write_program(built, path)
    with torch.no_grad():
        next(built.parameters()).add_(0.1)
    assert export.largest_difference(built, path) > 1e-3


def test_an_endless_walk_is_refused(tmp_path: Path) -> None:
    walker = network("gfpose", SPECS["3D"], steps=1000)
    for write in (export.write_onnx, export.write_program):
        with pytest.raises(export.ExportError, match=r"1000 times.*steps of at most 50"):
            write(walker, tmp_path / "network")


def test_missing_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(export.ExportError, match=r"onnxscript.*pip install 'poise\[onnx\]'"):
        export.write_onnx(network("smoothnet", SPECS["3D"]), tmp_path / "network.onnx")
