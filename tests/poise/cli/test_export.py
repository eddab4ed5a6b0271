"""`poise export` from a checkpoint's folder to poses out of onnxruntime."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from poise.catalog.tracks import Track
from poise.checkpoints.checkpoint import ModelCard, pose_spec, save_checkpoint
from poise.cli import export as command
from poise.cli.main import main
from poise_models import catalogue, export
from poise_models.base.clip import Clip
from poise_models.base.refiner import Refiner

TRACK = Track.parse("uiprmd/kinect/3D")
SMALL: dict[str, dict[str, Any]] = {
    "smoothnet": {"window": 8, "hidden": 16, "residual": 8, "blocks": 1},
    "synspp": {"width": 16, "feed_forward": 16, "heads": 1, "layers": 1},
    "gfpose": {"hidden": 64, "embedding": 4, "blocks": 0},
}


def checkpoint(name: str, folder: Path) -> Refiner:
    torch.manual_seed(0)
    refiner = catalogue.build(name, pose_spec(TRACK), SMALL.get(name, {})).eval()
    card = ModelCard(str(TRACK), name, refiner.settings(), seed=3)
    save_checkpoint(refiner, card, str(folder))
    return refiner


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["smoothnet", "synspp"])
def test_what_the_help_shows_refines_as_poise_does(
    name: str, tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refiner = checkpoint(name, tmp_path / "checkpoint")
    assert main(["export", str(tmp_path / "checkpoint"), str(out / "OUT.onnx")]) == 0
    assert [file.name for file in out.iterdir()] == ["OUT.onnx"]
    said = capsys.readouterr()
    assert "for uiprmd/kinect/3D" in said.out
    assert "largest difference from the checkpoint" in said.out
    assert ("neighbour (B, 8, 51)" in said.out) is (name == "synspp")
    assert not said.err

    detected = torch.randn(40, 51)
    np.save(out / "detected.npy", detected.numpy())
    script = [
        "import numpy; detected = numpy.load('detected.npy')",
        command.SNIPPET,
        "numpy.save('refined.npy', refined)",
    ]
    subprocess.run([sys.executable, "-c", "\n".join(script)], cwd=out, check=True)
    (expected,) = refiner.refine([Clip(detected)])
    refined = torch.from_numpy(np.load(out / "refined.npy"))
    torch.testing.assert_close(refined, expected.poses_FC, atol=1e-4, rtol=0)


def test_a_program_of_torch_export(
    tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refiner = checkpoint("smoothnet", tmp_path / "checkpoint")
    for _ in range(2):  # an older file gives way
        assert main(["export", str(tmp_path / "checkpoint"), str(out / "net.pt2")]) == 0
    assert "SmoothNet for uiprmd/kinect/3D" in capsys.readouterr().out
    windows = torch.randn(5, 8, 51)
    (poses,) = torch.export.load(out / "net.pt2").module()(detected=windows)
    expected = refiner(windows, windows, torch.ones(5)).poses_BTC
    torch.testing.assert_close(poses, expected)


@pytest.mark.parametrize(
    ("name", "file", "message"),
    [
        ("savgol", "net.onnx", "Savitzky-Golay is no network"),
        ("gfpose", "net.onnx", "1000 times a frame"),
        ("smoothnet", "net.bin", r"ends in .onnx, or in .pt2"),
        ("smoothnet", "nowhere/net.pt2", "there is no folder"),
    ],
)
def test_what_cannot_be_done_is_said(
    name: str,
    file: str,
    message: str,
    tmp_path: Path,
    out: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    checkpoint(name, tmp_path / "checkpoint")
    assert main(["export", str(tmp_path / "checkpoint"), str(out / file)]) == 2
    assert message in capsys.readouterr().err
    assert not list(out.iterdir())


def test_a_folder_without_a_checkpoint(
    tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(tmp_path), str(out / "net.onnx")]) == 2
    assert "neither a checkpoint folder nor a model" in capsys.readouterr().err


def test_without_the_onnx_packages(
    tmp_path: Path,
    out: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checkpoint("smoothnet", tmp_path / "checkpoint")
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    assert main(["export", str(tmp_path / "checkpoint"), str(out / "net.onnx")]) == 2
    assert "pip install 'poise[onnx]'" in capsys.readouterr().err


def test_a_file_that_runs_wrong_is_not_left_behind(
    tmp_path: Path,
    out: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checkpoint("smoothnet", tmp_path / "checkpoint")
    written = export.write_program

    def damaged(network: Any, path: Path, extra: Any = None) -> None:
        written(network, path, extra)
        with torch.no_grad():
            next(network.parameters()).add_(0.1)

    monkeypatch.setattr(export, "write_program", damaged)
    assert main(["export", str(tmp_path / "checkpoint"), str(out / "net.pt2")]) == 2
    assert "was not written: what it returns differs" in capsys.readouterr().err
    assert not list(out.iterdir())


def test_help_says_which_format_to_hand_around(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Hand .onnx around: it is data alone." in said
    assert "never load one from a stranger" in said
