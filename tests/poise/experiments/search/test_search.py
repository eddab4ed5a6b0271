"""Searches on Ray Tune: they end with a plan, and go on where they were killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.support.mlflow_server import fresh_store
from tests.support.sweep_job import ROOT, SWEEP, environment, run_statuses
from tests.support.tiny_lake import TRACK, write_tiny_lake
from tests.support.tiny_plan import BUDGET, SYNSPP, plan_of

from poise.checkpoints.mlflow_client import mlflow_client
from poise.experiments.plan import load_plan
from poise.experiments.records import SweepFolder, TrialFolder
from poise.experiments.search.search import SearchResult, republish_search, run_search, so_far
from poise.experiments.shared_splits import SplitSource
from poise.lake.manifest import read_manifest
from poise.runtime.errors import PlanError

RATE = {"budget": {"learning_rate": {"loguniform": [1e-4, 1e-1]}}}
#: Of the code that is tested, whatever is installed.
ROOTS = os.pathsep.join(str(ROOT / root) for root in ("platform", "models", "retrieval"))
PLAN = """
name: tiny
tracks: [uiprmd/kinect/3D]
refiners:
  - {name: synspp, settings: {feed_forward: 8, heads: 1, layers: 1, skip: low}}
budget: {epochs: 30, batch: 16, steps_per_epoch: 2}
seeds: [0, 1]
search:
  trials: 4
  space:
    settings: {width: {choice: [8, 16]}, dropout: {uniform: [0, 0.5]}}
    budget: {learning_rate: {loguniform: [0.0001, 0.1]}}
"""


def blind_lake(folder: Path) -> str:
    """Write a tiny lake, and take its test split away."""
    write_tiny_lake(folder)
    gone = list(folder.rglob("split=test"))
    assert len(gone) == 2
    for part in gone:
        shutil.rmtree(part)
    return str(folder)


def search(tmp_path: Path, **given: Any) -> tuple[SearchResult, SweepFolder, str]:
    plan = plan_of(SYNSPP, search={"space": RATE, **given}, budget={**BUDGET, "epochs": 9})
    lake, store = blind_lake(tmp_path / "lake"), fresh_store(tmp_path)
    sweeps = str(tmp_path / "sweeps")
    found = run_search(plan, lake, sweeps, store, str(tmp_path / "artifacts"))
    again = run_search(plan, lake, sweeps, store, str(tmp_path / "artifacts"))
    assert (again.rows, str(again.best)) == (found.rows, str(found.best))
    count = len(found.rows)
    left = so_far(plan, {str(TRACK): read_manifest(lake, TRACK)}, sweeps)
    more = "more to run until the time is over" if "hours" in given else "0 to run"
    assert left == f"{count} trials ended before, 0 were cut off and go on, {more}"
    # What was not sent then is sent now, and no trial of a search becomes champion by that.
    other = fresh_store(tmp_path / "other")
    sent = republish_search(sweeps, "tiny", other, str(tmp_path / "artifacts"))
    assert (sent.rows, str(sent.best)) == (found.rows, str(found.best))
    assert len(run_statuses(other)) == count + 1
    assert not mlflow_client(other).search_registered_models()
    return found, SweepFolder(f"{sweeps}/tiny"), store


def test_the_test_split_is_out_of_a_searchs_reach(tmp_path: Path) -> None:
    write_tiny_lake(tmp_path)
    blind = SplitSource(str(tmp_path), blind=True)
    assert blind.split(TRACK, "train").index.names
    for part in ("test", "everybody"):
        with pytest.raises(PlanError, match="sees the train split alone"):
            blind.split(TRACK, part)


@pytest.mark.slow
@pytest.mark.chaos
def test_a_search_that_was_killed_goes_on_with_the_same_trials(tmp_path: Path) -> None:
    blind_lake(tmp_path / "lake")
    (tmp_path / "tiny.yaml").write_text(PLAN)
    store = fresh_store(tmp_path)
    trials = tmp_path / "sweeps" / "tiny" / "trials"
    command = [sys.executable, str(SWEEP), "--plan", str(tmp_path / "tiny.yaml")]
    command += ["--home", str(tmp_path)]
    with (tmp_path / "job.log").open("wb") as log:
        job = subprocess.Popen(
            command,
            env=environment(PYTHONPATH=ROOTS),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.monotonic() + 240
    # One has ended, and another is on its way.
    while not (ended(trials) and any(len(e) > 1 for e in histories(trials, only_open=True))):
        assert job.poll() is None, (tmp_path / "job.log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(job.pid, signal.SIGKILL)
    job.wait()
    header = tmp_path / "sweeps" / "tiny" / "sweep.json"
    keys = json.loads(header.read_text())["trials"]
    files = {file: file.stat().st_mtime_ns for key in ended(trials) for file in files_of(key)}
    began = {key: len(TrialFolder(str(trials / key)).history()) for key in keys}

    done = subprocess.run(
        [*command, "--json", str(tmp_path / "trials.json")],
        env=environment(PYTHONPATH=ROOTS),
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    after = json.loads(header.read_text())["trials"]
    assert after[: len(keys)] == keys
    assert len(after) == len(set(after)) == 4
    assert sorted(path.name for path in trials.iterdir()) == sorted(after)
    assert {file: file.stat().st_mtime_ns for file in files} == files
    for key in after:
        epochs = [epoch.epoch for epoch in TrialFolder(str(trials / key)).history()]
        assert epochs == list(range(1, 31))
    assert any(0 < count < 30 for count in began.values())
    rows = json.loads((tmp_path / "trials.json").read_text())
    scores = [float(row["Score"]) for row in rows]
    assert scores == sorted(scores)
    statuses = run_statuses(store)
    assert len(statuses) == 5
    assert set(statuses.values()) == {"FINISHED"}
    best = load_plan(str(tmp_path / "sweeps" / "tiny" / "best.yaml"))
    assert (best.name, best.seeds) == ("tiny-best", (0, 1))
    assert best.refiners[0].settings["width"] == int(rows[0]["width"])


def ended(trials: Path) -> list[Path]:
    return [file.parent for file in trials.glob("*/result.json")]


def files_of(trial: Path) -> list[Path]:
    return [file for file in trial.rglob("*") if file.is_file()]


def histories(trials: Path, only_open: bool) -> list[list[Any]]:
    files = trials.glob("*/history.json")
    return [
        json.loads(file.read_text())
        for file in files
        if not (only_open and (file.parent / "result.json").exists())
    ]


@pytest.mark.slow
def test_asha_stops_what_is_behind(cluster: None, tmp_path: Path) -> None:
    found, _, store = search(tmp_path, method="asha", trials=6)
    ends = [row[found.header.index("Ended")] for row in found.rows]
    assert len(ends) == 6
    assert "finished" in ends
    assert "stopped" in ends
    assert len(run_statuses(store)) == 7
    assert set(run_statuses(store).values()) == {"FINISHED"}


@pytest.mark.slow
def test_the_worst_of_a_population_go_on_as_copies_of_the_best(
    cluster: None, tmp_path: Path
) -> None:
    found, sweep, store = search(tmp_path, method="pbt", trials=4)
    specs = [sweep.trial(key).spec() for key in sweep.header()["trials"]]
    keys = {spec.key for spec in specs if spec is not None}
    copies = [spec for spec in specs if spec is not None and spec.tuned_from]
    assert copies
    assert all(spec.tuned_from in keys for spec in copies)
    assert len(run_statuses(store)) == len(keys) + 1
    for spec in specs:
        assert spec is not None
        result = sweep.trial(spec.key).result()
        assert result is not None
        epochs = [epoch.epoch for epoch in sweep.trial(spec.key).history()]
        assert epochs == list(range(1, len(epochs) + 1))
        assert (len(epochs) == 9) == (result.status == "finished")
    assert sum(row[-1] == "finished" for row in found.rows) == 4
    assert not Path(sweep.uri, "tune").exists()


@pytest.mark.slow
def test_hours_end_a_search_and_nothing_is_left_open(cluster: None, tmp_path: Path) -> None:
    found, _, store = search(tmp_path, hours=3 / 3600)
    assert any("hours are over" in note for note in found.notes)
    assert found.rows
    assert {row[-1] for row in found.rows} <= {"finished", "stopped"}
    assert set(run_statuses(store).values()) <= {"FINISHED", "KILLED"}
