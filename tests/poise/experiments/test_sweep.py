import csv
import io
import math
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.support.mlflow_server import fresh_store
from tests.support.ports import free_port
from tests.support.sweep_job import run_statuses
from tests.support.tiny_lake import TRACK, write_tiny_lake
from tests.support.tiny_plan import SYNSPP, plan_of

from poise.checkpoints.mlflow_client import mlflow_client
from poise.evaluation.tables import Entry
from poise.experiments.grid import TrialSpec, grid
from poise.experiments.records import SweepFolder, SweepGoneError
from poise.experiments.shared_splits import SplitSource
from poise.experiments.submission.selection import Selection
from poise.experiments.sweep import republish, run_sweep
from poise.experiments.tracking.facts import TRIAL_KEY
from poise.experiments.trial import TrialSetup, run_trial
from poise.experiments.tuning import trial_resources
from poise.lake.manifest import manifest_hash, read_manifest
from poise.runtime.errors import PlanError

GPU = {"gpu": 0.5}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("lake")
    write_tiny_lake(folder)
    return str(folder)


def test_subjects_that_are_not_there_are_said_before_anything_starts(
    lake: str, tmp_path: Path
) -> None:
    plan = plan_of("input", SYNSPP, validation={"subjects": ["nobody"]})
    with pytest.raises(PlanError, match="no training subject nobody; it has S1"):
        run_sweep(plan, lake, str(tmp_path / "sweeps"), f"sqlite:///{tmp_path}/mlflow.db")
    assert not list(tmp_path.iterdir())


def test_too_few_people_for_the_folds_are_said_before_anything_starts(
    lake: str, tmp_path: Path
) -> None:
    plan = plan_of("input", SYNSPP, validation={"folds": 5})
    with pytest.raises(PlanError, match=r"has 4 people \(S1, .*\), too few for 5 folds"):
        run_sweep(plan, lake, str(tmp_path / "sweeps"), f"sqlite:///{tmp_path}/mlflow.db")
    assert not list(tmp_path.iterdir())


def test_a_folder_of_a_plan_that_differs_in_case_is_left_alone(lake: str, tmp_path: Path) -> None:
    plan = plan_of("input")
    # As on a disk that does not tell upper from lower case.
    theirs = plan.model_copy(update={"name": plan.name.upper()})
    folder = SweepFolder(str(tmp_path / "sweeps" / plan.name))
    folder.begin(theirs, [], "none")
    with pytest.raises(PlanError, match=r"is the sweep of the plan .* only in case"):
        run_sweep(plan, lake, str(tmp_path / "sweeps"), fresh_store(tmp_path))
    assert folder.header()["plan"]["name"] == theirs.name


def test_a_folder_that_was_removed_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SweepGoneError, match=r"sweep\.json: is not there any more"):
        SweepFolder(str(tmp_path / "gone")).entries()


@pytest.mark.slow
def test_parts_of_a_plan_fill_one_table_and_tracks_without_data_say_so(
    cluster: None, lake: str, tmp_path: Path
) -> None:
    plan = plan_of("input", "offset", SYNSPP, tracks=[str(TRACK), "h36m/fcn/3D"], seeds=[0, 1])
    absent = {"h36m/fcn/3D": "no data: nowhere"}
    uri, sweeps = fresh_store(tmp_path), str(tmp_path / "sweeps")
    parts = (
        (Selection(refiners=("input",)), ["input"]),
        (Selection(only="failed"), ["input"]),
        (Selection(refiners=("synspp",), seeds=1), ["input", "synspp"]),
        (Selection(only="missing"), ["input", "offset", "synspp", "synspp"]),
    )
    folder = SweepFolder(f"{sweeps}/tiny")
    for selection, refiners in parts:
        result = run_sweep(plan, lake, sweeps, uri, selection=selection, absent=absent)
        assert [entry.row.refiner for entry in result.entries] == refiners
        assert result.absent == absent == folder.absent()
        assert len(folder.header()["trials"]) == 4
    text = (tmp_path / "sweeps/tiny/tables/table.md").read_text()
    assert "| h36m/fcn/3D | no data: nowhere |" in text
    assert len(run_statuses(uri)) == 5  # and the sweep's own


def table(entries: list[Entry]) -> list[dict[str, Any]]:
    return [{k: v for k, v in e.to_json().items() if k != "seconds"} for e in entries]


@pytest.mark.slow
def test_a_sweep_ends_in_a_table_and_its_resubmission_tries_only_what_failed(
    cluster: None, lake: str, tmp_path: Path
) -> None:
    wild = {**SYNSPP, "label": "wild", "budget": {"learning_rate": 1e30}}
    plan = plan_of("input", "offset", SYNSPP, wild)
    uri, sweeps = fresh_store(tmp_path), str(tmp_path / "sweeps")
    first = run_sweep(plan, lake, sweeps, uri, str(tmp_path / "artifacts"), publish_every=1.0)
    assert [entry.row.refiner for entry in first.entries] == ["input", "offset", "synspp"]
    ((trial, reason),) = first.failures
    assert trial == f"SynSP++ (wild) on {TRACK}, seed 0"
    assert "learning_rate" in reason or "finite" in reason
    assert all(math.isfinite(entry.row.mpjpe) for entry in first.entries)
    assert first.entries[0].row.frames == 120
    folder = SweepFolder(f"{sweeps}/tiny")
    assert sorted(os.listdir(folder.tables)) == [
        "people.csv",
        "plot.png",
        "rows.json",
        "table.csv",
        "table.md",
    ]
    network, failed = (spec.key for spec in _specs(folder) if spec.refiner == "synspp")
    statuses = run_statuses(uri)
    assert len(statuses) == 5
    assert {key for key, status in statuses.items() if status == "FAILED"} == {failed}
    assert set(statuses.values()) == {"FAILED", "FINISHED"}
    assert "poise-uiprmd-kinect-3D version 1 is champion: SynSP++" in first.notes[0]
    finished = [spec.key for spec in _specs(folder) if spec.key != failed]
    scores = {key: _result(folder, key).validation["score"] for key in finished}
    better = min(scores.values()) < scores[network]
    assert any(note.startswith("careful") for note in first.notes) == better
    version = mlflow_client(uri).get_model_version_by_alias("poise-uiprmd-kinect-3D", "champion")
    assert version.tags[TRIAL_KEY] == network

    trials, before = tmp_path / "sweeps/tiny/trials", _result(folder, failed)
    files = {f: f.stat().st_mtime_ns for key in finished for f in (trials / key).rglob("*.*")}
    assert len(files) > len(finished)
    again = run_sweep(plan, lake, sweeps, uri, str(tmp_path / "artifacts"))
    assert [entry.to_json() for entry in again.entries] == [e.to_json() for e in first.entries]
    assert run_statuses(uri) == statuses
    assert {f: f.stat().st_mtime_ns for f in files} == files
    assert "stays champion" in again.notes[0]
    assert _result(folder, failed).ended > before.ended


def _specs(folder: SweepFolder) -> list[TrialSpec]:
    specs = [folder.trial(key).spec() for key in folder.header()["trials"]]
    return [spec for spec in specs if spec is not None]


def _result(folder: SweepFolder, key: str) -> Any:
    result = folder.trial(key).result()
    assert result is not None
    return result


@pytest.mark.slow
def test_a_sweep_over_folds_tests_everybody_once_and_goes_on_where_it_ended(
    cluster: None, lake: str, tmp_path: Path
) -> None:
    plan = plan_of("input", SYNSPP, validation={"folds": 4}, seeds=[0, 1])
    uri, sweeps = fresh_store(tmp_path), str(tmp_path / "sweeps")
    first = run_sweep(plan, lake, sweeps, uri, str(tmp_path / "artifacts"), publish_every=1.0)
    assert [(e.row.refiner, e.row.seed, e.fold) for e in first.entries] == [
        (name, seed, fold)
        for name, seed in (("input", 0), ("synspp", 0), ("synspp", 1))
        for fold in (1, 2, 3, 4)
    ]
    assert not first.failures
    assert "no champion comes of folds" in first.notes[0]
    folder = SweepFolder(f"{sweeps}/tiny")
    read = list(csv.DictReader(io.StringIO(Path(folder.tables, "people.csv").read_text())))
    people = [row["subject"] for row in read]
    assert len(set(people[:4])) == 4
    assert people == people[:4] * 3
    assert "4 folds of its people" in Path(folder.tables, "table.md").read_text()
    assert len(run_statuses(uri)) == 13

    gone = _specs(folder)[5]
    shutil.rmtree(tmp_path / "sweeps" / "tiny" / "trials" / gone.key)
    again = run_sweep(plan, lake, sweeps, uri, str(tmp_path / "artifacts"))
    assert table(again.entries) == table(first.entries)
    assert len(run_statuses(uri)) == 13


@pytest.mark.slow
def test_a_sweep_without_mlflow_finishes_and_is_published_later(
    cluster: None, lake: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plan = plan_of("input", SYNSPP, resources={**GPU, "cpu_ok": True})
    sweeps = str(tmp_path / "sweeps")
    nowhere = f"http://127.0.0.1:{free_port()}"
    alone = run_sweep(plan, lake, sweeps, nowhere, publish_every=0.5)
    assert len(alone.entries) == 2
    assert caplog.text.count("training on the CPU") == 1
    (note,) = alone.notes
    assert "not up to date" in note
    assert f"{sweeps}/tiny" in note
    uri = fresh_store(tmp_path)
    later = republish(plan, sweeps, uri, str(tmp_path / "artifacts"))
    assert table(later.entries) == table(alone.entries)
    assert set(run_statuses(uri).values()) == {"FINISHED"}
    assert len(run_statuses(uri)) == 3
    assert "is champion" in later.notes[0]


@pytest.mark.parametrize(
    ("resources", "wants"),
    [
        (GPU, r"0.5 GPU a trial and there is none.*--cpu-ok"),
        (
            {"workers": 3},
            r"3 workers a trial, with 1 CPU each, and there is room for 2 here: lower",
        ),
    ],
)
def test_a_plan_that_wants_more_than_there_is_is_refused_before_anything_is_written(
    cluster: None, lake: str, tmp_path: Path, resources: dict[str, Any], wants: str
) -> None:
    plan, sweeps = plan_of("input", resources=resources), str(tmp_path / "sweeps")
    with pytest.raises(PlanError, match=f"plan tiny wants {wants}"):
        run_sweep(plan, lake, sweeps, fresh_store(tmp_path), str(tmp_path / "artifacts"))
    assert not SweepFolder(f"{sweeps}/tiny").exists()


def test_a_plan_that_says_so_trains_on_the_cpu_where_there_is_no_gpu(cluster: None) -> None:
    plan = plan_of("input", resources=GPU)
    assert trial_resources(plan.changed(cpu_ok=True)) == {"cpu": 1.0}
    assert trial_resources(plan_of("input", resources={**GPU, "cpu_ok": True})) == {"cpu": 1.0}


def test_a_cluster_that_starts_gpu_machines_on_demand_takes_such_a_plan(
    cluster: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = "ray._private.state.state.get_max_resources_from_cluster_config"
    monkeypatch.setattr(asked, lambda: {"CPU": 64, "GPU": 4})
    assert trial_resources(plan_of("input", resources=GPU)) == {"cpu": 1.0, "gpu": 0.5}


def test_a_finished_sweep_wants_no_gpu_any_more(lake: str, tmp_path: Path) -> None:
    plan, sweeps = plan_of("input", resources=GPU), str(tmp_path / "sweeps")
    manifest = manifest_hash(read_manifest(lake, TRACK))
    (spec,) = grid(plan, {str(TRACK): manifest})
    trial = SweepFolder(f"{sweeps}/tiny").trial(spec.key)
    trial.begin(spec)
    run_trial(trial, TrialSetup(SplitSource(lake)), lambda _: None)
    store, artifacts = fresh_store(tmp_path), str(tmp_path / "artifacts")
    assert len(run_sweep(plan, lake, sweeps, store, artifacts).entries) == 1
