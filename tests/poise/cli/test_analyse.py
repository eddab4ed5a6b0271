"""``poise analyse`` from a checkpoint to figures, plot and JSON."""

import json
from pathlib import Path

import pytest
from tests.support.tiny_lake import TRACK, write_tiny_lake

from poise.checkpoints.checkpoint import ModelCard, pose_spec, save_checkpoint
from poise.cli.main import main
from poise_models import catalogue


def test_quality_of_a_checkpoint_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_tiny_lake(tmp_path / "lake")
    small = {"width": 8, "feed_forward": 8, "heads": 2, "layers": 1}
    refiner = catalogue.build("synspp", pose_spec(TRACK), small)
    card = ModelCard(str(TRACK), "synspp", refiner.settings())
    save_checkpoint(refiner, card, str(tmp_path / "model"))
    arguments = ["analyse", "quality", "--model", "model", "--lake", "lake"]
    assert main([*arguments, "--plot", "q.png", "--json", "q.json"]) == 0
    assert "quality - input error" in capsys.readouterr().out
    rows = json.loads((tmp_path / "q.json").read_text())
    assert set(rows[0]) == {"indicator", "error", "frames", "within", "sequences"}
    assert (tmp_path / "q.png").read_bytes().startswith(b"\x89PNG")


def test_a_folder_without_a_sweep_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["analyse", "ratio", str(tmp_path)]) == 2
    assert "holds no sweep.json" in capsys.readouterr().err
