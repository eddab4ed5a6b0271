"""A sweep as MLflow has it: its folder made again, and its runs found by trial."""

from pathlib import Path

import pytest
from tests.support.reported_sweep import TRACK, begun, fail, finish_all, specs_of

from poise.experiments.mlflow_mirror import MlflowMirror
from poise.report.sweeps.mlflow_runs import find_runs, rebuild
from poise.report.sweeps.trials import Sweep
from poise.runtime.errors import ModelError

SIX = [60.0, 62.0, 58.0, 61.0, 59.0, 60.0]


@pytest.mark.slow
def test_a_sweep_is_made_again_from_its_runs(tmp_path: Path) -> None:
    folder = begun(
        tmp_path,
        ["input", {"name": "savgol", "tuned": True}, "smoothnet"],
        validation={"folds": 2},
        seeds=[0],
    )
    finish_all(folder, {"input": (SIX, 19.0), "savgol": (SIX, 3.0), "smoothnet": (SIX, 2.0)})
    fail(folder, specs_of(folder)[-1], "loss is not finite")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    MlflowMirror(folder, uri, str(tmp_path / "mlartifacts")).publish(running=False)

    (tmp_path / "scratch").mkdir()
    was, found = Sweep.read(folder), Sweep.read(rebuild("made", uri, tmp_path / "scratch"))
    assert found.plan == was.plan
    assert found.header["commit"] == "0123abcd"
    before = {trial.spec.key: trial for trial in was.trials}
    assert {trial.spec.key for trial in found.trials} == set(before)
    for trial in found.trials:
        own = before[trial.spec.key]
        for name in ("track", "refiner", "label", "seed", "fold", "budget"):
            assert getattr(trial.spec, name) == getattr(own.spec, name), name
        tuned = {name for one in own.spec.candidates for name in one}
        given = {name: value for name, value in own.spec.settings.items() if name not in tuned}
        assert trial.spec.settings == given
        assert bool(trial.spec.candidates) == bool(tuned)
        assert trial.state == own.state
        assert (trial.result and trial.result.reason) == (own.result and own.result.reason)
        if own.entry is not None:
            assert trial.entry is not None
            assert trial.entry.sequences == own.entry.sequences
            assert trial.entry.row.mpjpe == own.entry.row.mpjpe
            assert [epoch.metrics for epoch in trial.history] == [e.metrics for e in own.history]
    assert [m.title for m in found.methods(TRACK)] == [m.title for m in was.methods(TRACK)]

    runs, problem = find_runs("made", uri)
    assert not problem
    assert set(runs) == set(before)
    assert find_runs("other", uri) == ({}, "MLflow has no experiment other with trials")
    with pytest.raises(ModelError, match=r"no experiment 'other'; it has .*made"):
        rebuild("other", uri, tmp_path / "scratch")
