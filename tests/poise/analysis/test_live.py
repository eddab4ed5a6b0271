"""Errors against lag, from checkpoints to figures."""

import json
from pathlib import Path

import pytest
from tests.support.tiny_lake import TRACK, write_tiny_lake

from poise.checkpoints.checkpoint import ModelCard, pose_spec, save_checkpoint
from poise.cli.main import main
from poise.evaluation.evaluate import evaluate
from poise.training_data.examples import examples
from poise.training_data.split import load_split
from poise_models import catalogue

NETWORKS = {"poise": {"width": 8, "blocks": 1, "window": 8}, "smoothnet": {"window": 4}}


def test_at_full_lag_a_model_has_the_errors_that_it_has_offline(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_tiny_lake(tmp_path / "lake")
    test = load_split(str(tmp_path / "lake"), TRACK, "test")
    offline = {}
    arguments = ["analyse", "live", "--lake", "lake", "--plot", "live.png", "--json", "live.json"]
    for name, settings in NETWORKS.items():
        refiner = catalogue.build(name, pose_spec(TRACK), settings).eval()
        card = ModelCard(str(TRACK), name, refiner.settings())
        save_checkpoint(refiner, card, str(tmp_path / name))
        offline[refiner.title] = evaluate(refiner, examples(refiner, test, None), TRACK, 0).row
        arguments += ["--model", name]
    assert main([*arguments, "--lag", "7", "--lag", "0", "--lag", "2"]) == 0
    assert "test sequences" in capsys.readouterr().out
    rows = {
        (row["refiner"].split(",")[0].split(" (")[0], row["lag"]): row
        for row in json.loads(Path("live.json").read_text())
    }
    assert {lag for _, lag in rows} == {0, 2, 7}
    assert {name for name, _ in rows} == {*offline, "Linear", "One-Euro", "Butterworth"}
    for title, row in offline.items():
        assert rows[title, 7]["mpjpe"] == pytest.approx(row.mpjpe, rel=1e-4)
        assert rows[title, 7]["accel"] == pytest.approx(row.accel, rel=1e-4)
    # A window of four frames is whole at lag 3.
    assert rows["SmoothNet", 2] != rows["SmoothNet", 7]
    assert Path("live.png").read_bytes().startswith(b"\x89PNG")
    assert Path("live.png").stat().st_size < 150_000
