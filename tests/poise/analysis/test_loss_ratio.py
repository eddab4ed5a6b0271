"""The curves over the ratio of the losses."""

import json
from pathlib import Path

import pytest

from poise.analysis.loss_ratio import ratio_plot, ratio_points, ratio_table
from poise.evaluation.evaluate import Row
from poise.experiments.grid import grid
from poise.experiments.plan import load_plan
from poise.experiments.records import SweepFolder, TrialResult
from poise.runtime.errors import DataError


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """The records of figure1a as a finished sweep leaves them; Accel falls, MPJPE rises."""
    plan = load_plan("figure1a-uiprmd")
    specs = grid(plan, dict.fromkeys(plan.tracks, "hash"))
    folder = SweepFolder(str(tmp_path / "sweep"))
    folder.begin(plan, [spec.key for spec in specs], "commit")
    for spec in specs:
        trial = folder.trial(spec.key)
        trial.begin(spec)
        factor = spec.settings["smoothness"]
        row = Row(spec.track, "synspp", 0, 50 + factor, 40, 9 - factor, 9, 100, 10, 1.0, "mm")
        trial.finish(TrialResult("finished", 0, 1, row=row))
    return tmp_path / "sweep"


def test_the_curves_are_those_of_the_trials(sweep: Path) -> None:
    points = ratio_points(sweep)
    assert [point.smoothness for point in points] == [0.0, 0.1, 0.5, 1.0, 5.0]
    assert [point.mpjpe for point in points] == pytest.approx([50, 50.1, 50.5, 51, 55])
    assert [point.accel for point in points] == pytest.approx([9, 8.9, 8.5, 8, 4])
    assert "1 : 0" in ratio_table(points)
    assert ratio_plot(points).startswith(b"\x89PNG")


def test_a_curve_takes_two_values_and_one_kind_of_trial(sweep: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no sweep"):
        ratio_points(tmp_path)
    header = json.loads((sweep / "sweep.json").read_text())
    key = header["trials"][0]
    spec = json.loads((sweep / "trials" / key / "spec.json").read_text())
    spec["settings"]["width"] = 32
    (sweep / "trials" / key / "spec.json").write_text(json.dumps(spec))
    with pytest.raises(DataError, match="differ in more"):
        ratio_points(sweep)
    (sweep / "sweep.json").write_text(json.dumps({**header, "trials": [key]}))
    with pytest.raises(DataError, match="of 1 values"):
        ratio_points(sweep)
