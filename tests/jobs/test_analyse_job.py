"""``jobs/analyse.py`` by its front door; in this process, since importing takes the most of it."""

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.tiny_lake import TRACK, write_tiny_lake

from poise.checkpoints.checkpoint import ModelCard, pose_spec, save_checkpoint
from poise.runtime.errors import DataError
from poise_models import catalogue

JOBS = Path(__file__).parents[2] / "jobs"
Main = Callable[[list[str]], int]


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Main:
    monkeypatch.syspath_prepend(str(JOBS))
    monkeypatch.setenv("POISE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    found: dict[str, Any] = runpy.run_path(str(JOBS / "analyse.py"))
    job: Main = found["main"]
    return job


def test_quality_of_a_checkpoint_folder(
    main: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tiny_lake(tmp_path / "lake")
    small = {"width": 8, "feed_forward": 8, "heads": 2, "layers": 1}
    refiner = catalogue.build("synspp", pose_spec(TRACK), small)
    card = ModelCard(str(TRACK), "synspp", refiner.settings())
    save_checkpoint(refiner, card, str(tmp_path / "model"))
    arguments = ["quality", "--model", "model", "--lake", "lake"]
    assert main([*arguments, "--plot", "q.png", "--json", "q.json"]) == 0
    assert "quality - input error" in capsys.readouterr().out
    rows = json.loads((tmp_path / "q.json").read_text())
    assert set(rows[0]) == {"indicator", "error", "frames", "within", "sequences"}
    assert (tmp_path / "q.png").read_bytes().startswith(b"\x89PNG")


def test_a_folder_without_a_sweep_is_refused(main: Main) -> None:
    with pytest.raises(DataError, match=r"nowhere holds no sweep\.json"):
        main(["ratio", "nowhere"])


def test_help_teaches(main: Main, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    assert "jobs/sweep.py --plan fig1a" in capsys.readouterr().out
