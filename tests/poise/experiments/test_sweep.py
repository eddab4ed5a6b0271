import contextlib
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.support.mlflow_server import free_port, fresh_store
from tests.support.sweep_job import run_statuses
from tests.support.tiny_lake import TRACK, write_tiny_lake

from poise.checkpoints.checkpoint import load_checkpoint
from poise.checkpoints.mlflow_client import mlflow_client
from poise.evaluation.metrics import PoseErrors
from poise.evaluation.tables import Entry
from poise.experiments.fit import EpochReport, FitRequest
from poise.experiments.grid import TrialSpec, grid
from poise.experiments.mlflow_mirror import TRIAL_KEY
from poise.experiments.plan import Plan
from poise.experiments.records import SweepFolder, TrialFolder, TrialResult
from poise.experiments.shared_splits import SplitSource
from poise.experiments.sweep import republish, run_sweep
from poise.experiments.trial import TrialSetup, run_trial
from poise.experiments.trial_data import held_out
from poise.lake.manifest import manifest_hash, read_manifest
from poise.runtime.cluster import connect as connect_ray
from poise.runtime.errors import BusyError, LakeError, PlanError
from poise.runtime.locks import exclusive
from poise.training_data.split import TrackSplit, load_split
from poise_models.filters.offset import Offset, OffsetConfig

SYNSPP = {
    "name": "synspp",
    "settings": {"width": 8, "feed_forward": 8, "heads": 1, "layers": 1, "skip": "low"},
}
BUDGET = {"epochs": 3, "batch": 16, "steps_per_epoch": 2}


def plan_of(*refiners: Any, **more: Any) -> Plan:
    fields = {"name": "tiny", "tracks": [str(TRACK)], "refiners": list(refiners), "budget": BUDGET}
    return Plan.model_validate({**fields, **more})


@pytest.fixture(scope="session")
def lake(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("lake")
    write_tiny_lake(folder)
    return str(folder)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    with connect_ray(cpus=2):
        yield


def begun(lake: str, folder: Path, refiner: Any = SYNSPP, **more: Any) -> TrialFolder:
    manifest = manifest_hash(read_manifest(lake, TRACK))
    (spec,) = grid(plan_of(refiner, **more), {str(TRACK): manifest})
    trial = TrialFolder(str(folder))
    trial.begin(spec)
    return trial


class CutOffError(Exception):
    """Stands for a kill at the end of an epoch."""


def run(trial: TrialFolder, lake: str, cut_after: int | None = None) -> list[float]:
    reported = []

    def report(metrics: dict[str, float]) -> None:
        reported.append(metrics["refit"] + 100 if "refit" in metrics else metrics["epoch"])
        if reported[-1] == cut_after:
            raise CutOffError

    run_trial(trial, TrialSetup(SplitSource(lake)), report)
    return reported


def timeless(result: TrialResult | None) -> dict[str, Any]:
    assert result is not None
    assert result.row is not None
    row = {k: v for k, v in result.row.to_json().items() if k != "seconds"}
    return {"row": row, "validation": result.validation, "held_out": result.held_out}


@pytest.mark.parametrize("cut_after", [1, 2, 3])
def test_a_trial_cut_off_after_any_epoch_ends_in_the_same_numbers(
    lake: str, tmp_path: Path, cut_after: int
) -> None:
    whole, cut = begun(lake, tmp_path / "whole"), begun(lake, tmp_path / "cut")
    assert run(whole, lake) == [1, 2, 3]
    with pytest.raises(CutOffError):
        run(cut, lake, cut_after)
    assert cut.result() is None
    assert run(cut, lake) == [1, 2, 3]
    assert timeless(cut.result()) == timeless(whole.result())
    for name in ("weights.safetensors",):
        one, other = (Path(t.checkpoint, name).read_bytes() for t in (cut, whole))
        assert one == other


def test_a_trial_keeps_the_epoch_that_is_best_on_validation(
    lake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scripted(*_: Any) -> Iterator[EpochReport]:
        for epoch, mpjpe in enumerate((30.0, 10.0, 20.0), start=1):
            yield EpochReport(epoch, 3, 0.1, PoseErrors(mpjpe, mpjpe, 1.0, 1.0, 100), 0.0, b"")

    monkeypatch.setattr("poise.experiments.trial.fit", scripted)
    trial = begun(lake, tmp_path)
    run(trial, lake)
    result = trial.result()
    assert result is not None
    assert result.validation is not None
    assert result.validation["mpjpe"] == 10.0
    card = json.loads(Path(trial.checkpoint, "checkpoint.json").read_text())
    assert card["epochs"] == 2


REFIT = {"subjects": "auto", "refit": True}


def test_a_refit_learns_from_every_training_subject(lake: str, tmp_path: Path) -> None:
    trial = begun(lake, tmp_path, "offset", validation=REFIT)
    run(trial, lake)
    refiner, card = load_checkpoint(trial.checkpoint)
    whole = load_split(lake, TRACK, "train")
    expected = Offset(refiner.spec, OffsetConfig())
    expected.fit(whole.detected_FC, whole.truth)
    torch.testing.assert_close(refiner.get_buffer("offset_C"), expected.offset_C)
    result = trial.result()
    assert result is not None
    assert result.validation is not None
    assert card.metrics["score"] == result.validation["score"]


@pytest.mark.parametrize("cut_after", [2, 101, 103])
def test_a_refit_that_was_cut_off_ends_in_the_same_weights(
    lake: str, tmp_path: Path, cut_after: int
) -> None:
    whole = begun(lake, tmp_path / "whole", validation=REFIT)
    cut = begun(lake, tmp_path / "cut", validation=REFIT)
    assert run(whole, lake) == [1, 2, 3, 101, 102, 103]
    with pytest.raises(CutOffError):
        run(cut, lake, cut_after)
    run(cut, lake)
    assert timeless(cut.result()) == timeless(whole.result())
    one, other = (Path(t.checkpoint, "weights.safetensors").read_bytes() for t in (cut, whole))
    assert one == other


def test_the_score_of_the_input_is_one(lake: str, tmp_path: Path) -> None:
    trial = begun(lake, tmp_path, "input")
    run(trial, lake)
    result = trial.result()
    assert result is not None
    assert result.validation is not None
    assert result.validation["score"] == 1.0
    assert len(result.held_out) == 1


def test_validation_subjects_never_train(
    lake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, set[str]] = {}

    def spy(refiner: Any, wanted: FitRequest, *_: Any) -> Iterator[Any]:
        assert isinstance(wanted.train, TrackSplit)
        assert wanted.validation is not None
        seen.update(train=set(wanted.train.subjects), validation=set(wanted.validation.subjects))
        raise LakeError("seen enough")

    monkeypatch.setattr("poise.experiments.trial.fit", spy)
    subject = sorted(set(load_split(lake, TRACK, "train").subjects))[0]
    trial = begun(lake, tmp_path, validation={"subjects": [subject]})
    run(trial, lake)
    assert seen["validation"] == {subject}
    assert seen["train"].isdisjoint(seen["validation"])
    assert seen["train"]


@pytest.mark.parametrize(
    ("wanted", "have", "expected"),
    [
        ((), ["s2", "s10", "s9"], ("s10",)),
        ((), ["10", "9", "m"], ("m",)),
        (("s2", "s9"), ["s2", "s10", "s9"], ("s2", "s9")),
    ],
)
def test_the_held_out_subject_is_the_last_in_natural_order(
    wanted: tuple[str, ...], have: list[str], expected: tuple[str, ...]
) -> None:
    assert held_out(wanted, TRACK, have) == expected


@pytest.mark.parametrize(
    ("wanted", "have", "match"),
    [
        (("s3",), ["s1", "s2"], "no training subject s3; it has s1, s2"),
        ((), ["s1", "s1"], "leaves none"),
        (("s1", "s2"), ["s1", "s2"], "leaves none"),
    ],
)
def test_impossible_validation_subjects_are_refused(
    wanted: tuple[str, ...], have: list[str], match: str
) -> None:
    with pytest.raises(PlanError, match=match):
        held_out(wanted, TRACK, have)


def test_subjects_that_are_not_there_are_said_before_anything_starts(
    lake: str, tmp_path: Path
) -> None:
    plan = plan_of("input", SYNSPP, validation={"subjects": ["nobody"]})
    with pytest.raises(PlanError, match="no training subject nobody; it has S1"):
        run_sweep(plan, lake, str(tmp_path / "sweeps"), f"sqlite:///{tmp_path}/mlflow.db")
    assert not list(tmp_path.iterdir())


def test_a_trial_that_leaves_the_finite_numbers_fails_with_the_reason(
    lake: str, tmp_path: Path
) -> None:
    trial = begun(lake, tmp_path, budget={**BUDGET, "learning_rate": 1e30})
    run(trial, lake)
    result = trial.result()
    assert result is not None
    assert result.status == "failed"
    assert "finite" in result.reason or "nan" in result.reason
    assert result.row is None


def test_a_folder_is_held_by_one_and_freed_by_any_death(tmp_path: Path) -> None:
    code = (
        "import sys, time; from poise.runtime.locks import exclusive\n"
        f"with exclusive({str(tmp_path)!r}): print('held', flush=True); time.sleep(600)"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=env)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(BusyError, match=f"process {holder.pid} on "), exclusive(str(tmp_path)):
            pass
    finally:
        holder.kill()
        holder.wait()
    with exclusive(str(tmp_path)):
        assert str(os.getpid()) in (tmp_path / "lock").read_text()


def test_other_storage_is_held_through_the_cluster(cluster: None) -> None:
    with exclusive("memory://bucket/sweep"):
        with (
            pytest.raises(BusyError, match=f"process {os.getpid()} on "),
            exclusive("memory://bucket/sweep"),
        ):
            pass
        with exclusive("memory://bucket/another"):
            pass
    deadline = time.monotonic() + 30
    while True:
        # A killed actor's name is free a moment later.
        with contextlib.suppress(BusyError), exclusive("memory://bucket/sweep"):
            break
        assert time.monotonic() < deadline


def table(entries: list[Entry]) -> list[dict[str, Any]]:
    return [{k: v for k, v in e.to_json().items() if k != "seconds"} for e in entries]


@pytest.mark.slow
def test_a_sweep_ends_in_a_table_and_its_resubmission_in_the_same(
    cluster: None, lake: str, tmp_path: Path
) -> None:
    plan = plan_of("input", "offset", SYNSPP)
    uri, sweeps = fresh_store(tmp_path), str(tmp_path / "sweeps")
    first = run_sweep(plan, lake, sweeps, uri, str(tmp_path / "artifacts"), publish_every=1.0)
    assert [entry.row.refiner for entry in first.entries] == ["input", "offset", "synspp"]
    assert first.failures == []
    assert all(math.isfinite(entry.row.mpjpe) for entry in first.entries)
    assert first.entries[0].row.frames == 120
    folder = SweepFolder(f"{sweeps}/tiny")
    assert sorted(os.listdir(folder.tables)) == ["plot.png", "rows.json", "table.csv", "table.md"]
    statuses = run_statuses(uri)
    assert len(statuses) == 4
    assert set(statuses.values()) == {"FINISHED"}
    assert "poise-uiprmd-kinect-3D version 1 is champion: SynSP++" in first.notes[0]
    scores = {spec.refiner: _score(folder, spec.key) for spec in _specs(folder)}
    better = min(scores.values()) < scores["synspp"]
    assert any(note.startswith("careful") for note in first.notes) == better
    (network,) = (spec for spec in _specs(folder) if spec.refiner == "synspp")
    version = mlflow_client(uri).get_model_version_by_alias("poise-uiprmd-kinect-3D", "champion")
    assert version.tags[TRIAL_KEY] == network.key

    files = {f: f.stat().st_mtime_ns for f in (tmp_path / "sweeps/tiny/trials").rglob("*.*")}
    again = run_sweep(plan, lake, sweeps, uri, str(tmp_path / "artifacts"))
    assert [entry.to_json() for entry in again.entries] == [e.to_json() for e in first.entries]
    assert run_statuses(uri) == statuses
    assert {f: f.stat().st_mtime_ns for f in files} == files
    assert "stays champion" in again.notes[0]


def _specs(folder: SweepFolder) -> list[TrialSpec]:
    specs = [folder.trial(key).spec() for key in folder.header()["trials"]]
    return [spec for spec in specs if spec is not None]


def _score(folder: SweepFolder, key: str) -> float:
    result = folder.trial(key).result()
    assert result is not None
    assert result.validation is not None
    return result.validation["score"]


@pytest.mark.slow
def test_a_sweep_without_mlflow_finishes_and_is_published_later(
    cluster: None, lake: str, tmp_path: Path
) -> None:
    plan, sweeps = plan_of("input", SYNSPP), str(tmp_path / "sweeps")
    nowhere = f"http://127.0.0.1:{free_port()}"
    alone = run_sweep(plan, lake, sweeps, nowhere, publish_every=0.5)
    assert len(alone.entries) == 2
    (note,) = alone.notes
    assert "not up to date" in note
    assert f"{sweeps}/tiny" in note
    uri = fresh_store(tmp_path)
    later = republish(plan, sweeps, uri, str(tmp_path / "artifacts"))
    assert table(later.entries) == table(alone.entries)
    assert set(run_statuses(uri).values()) == {"FINISHED"}
    assert len(run_statuses(uri)) == 3
    assert "is champion" in later.notes[0]


@pytest.mark.slow
def test_one_bad_trial_spoils_nothing_and_is_tried_again(
    cluster: None, lake: str, tmp_path: Path
) -> None:
    wild = {**SYNSPP, "label": "wild", "budget": {"learning_rate": 1e30}}
    plan, sweeps = plan_of("offset", wild), str(tmp_path / "sweeps")
    uri, artifacts = fresh_store(tmp_path), str(tmp_path / "artifacts")
    outcome = run_sweep(plan, lake, sweeps, uri, artifacts)
    assert [entry.row.refiner for entry in outcome.entries] == ["offset"]
    ((trial, reason),) = outcome.failures
    assert trial == f"SynSP++ (wild) on {TRACK}, seed 0"
    assert "learning_rate" in reason or "finite" in reason
    assert sorted(run_statuses(uri).values()) == ["FAILED", "FINISHED", "FINISHED"]
    folder = SweepFolder(f"{sweeps}/tiny")
    (key,) = [spec.key for spec in _specs(folder) if spec.label == "wild"]
    before = folder.trial(key).result()
    run_sweep(plan, lake, sweeps, uri, artifacts)
    after = folder.trial(key).result()
    assert before is not None
    assert after is not None
    assert after.ended > before.ended
    assert len(run_statuses(uri)) == 3


@pytest.mark.slow
def test_asha_stops_trials_and_says_so(cluster: None, lake: str, tmp_path: Path) -> None:
    good = {**SYNSPP, "label": "good"}
    bad = [{**SYNSPP, "label": f"bad{n}", "budget": {"learning_rate": 0.5 + n}} for n in range(3)]
    plan = plan_of(good, *bad, scheduler="asha", budget={**BUDGET, "epochs": 9})
    uri = fresh_store(tmp_path)
    outcome = run_sweep(plan, lake, str(tmp_path / "sweeps"), uri, str(tmp_path / "artifacts"))
    assert "good" in [entry.label for entry in outcome.entries]
    assert len(outcome.entries) + len(outcome.failures) == 4
    assert any(reason.startswith("stopped: by the scheduler") for _, reason in outcome.failures)
    assert set(run_statuses(uri).values()) == {"FINISHED"}
