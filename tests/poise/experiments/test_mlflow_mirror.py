import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import mlflow.data
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from PIL import Image
from tests.support.mlflow_server import fresh_store
from tests.support.written_sweep import (
    INPUT,
    NETWORK,
    PLAN,
    SPECS,
    TRACK,
    begun_sweep,
    finish,
    train,
)

from poise.checkpoints.mlflow_client import mlflow_client
from poise.experiments.background_publisher import BackgroundPublisher
from poise.experiments.grid import Fold
from poise.experiments.mlflow_mirror import MlflowMirror
from poise.experiments.records import Epoch, SweepFolder, TrialResult
from poise.experiments.tracking.comparison import described
from poise.experiments.tracking.facts import TRIAL_KEY


@pytest.fixture
def sweep(tmp_path: Path) -> SweepFolder:
    return begun_sweep(tmp_path)


@pytest.fixture
def store(tmp_path: Path) -> str:
    return fresh_store(tmp_path)


def runs(uri: str) -> dict[str, Run]:
    """Runs of the experiment by trial key; the parent under its sweep's name."""
    client = mlflow_client(uri)
    experiment = client.get_experiment_by_name(PLAN.name)
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id])
    keys = [run.data.tags.get(TRIAL_KEY, PLAN.name) for run in found]
    assert len(keys) == len(set(keys))
    return dict(zip(keys, found, strict=True))


def paths(client: MlflowClient, run: Run) -> set[str]:
    return {file.path for file in client.list_artifacts(run.info.run_id)}


def test_a_finished_sweep_is_mirrored_whole(sweep: SweepFolder, store: str, tmp_path: Path) -> None:
    for spec in SPECS:
        train(sweep, spec, 3)
        finish(sweep, spec)
    sweep.write_table("table.md", b"| a table |")
    MlflowMirror(sweep, store, str(tmp_path / "artifacts")).publish(running=False)
    found = runs(store)
    assert set(found) == {PLAN.name, *(spec.key for spec in SPECS)}
    assert {run.info.status for run in found.values()} == {"FINISHED"}
    parent, network = found[PLAN.name], found[NETWORK.key]
    assert network.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert network.data.tags["mlflow.source.git.commit"] == "0123abcd"
    assert network.data.tags["poise.lake_manifest"] == "cafe"
    assert network.data.params["settings.hidden"] == "8"
    assert network.data.params["budget.epochs"] == "3"
    assert network.data.metrics["test_mpjpe"] == 50.0
    assert network.data.metrics["validation_score"] == 0.5
    assert network.data.tags["poise.retrieval"] == "none"
    assert network.data.tags["poise.held_out"] == "s1"
    assert (network.info.start_time, network.info.end_time) == (1000, 2000)
    assert network.inputs.dataset_inputs[0].dataset.digest == "cafe"
    client = mlflow_client(store)
    assert [m.step for m in client.get_metric_history(network.info.run_id, "loss")] == [1, 2, 3]
    assert paths(client, network) == {"checkpoint", "sequences.csv", "validation.csv"}
    assert paths(client, parent) == {"plan.json", "table.md"}
    assert parent.data.tags["mlflow.note.content"] == "| a table |"
    assert (tmp_path / "artifacts").is_dir()


ORIGIN = {
    "commit": "4567beef",
    "branch": "main",
    "dirty": "true",
    "command": "poise sweep --plan mirrored",
    "user": "researcher",
    "lake": "s3://bucket/lake",
}


def test_a_trial_is_a_model_once_with_its_metrics_and_no_second_copy(
    sweep: SweepFolder, store: str, tmp_path: Path
) -> None:
    for spec in SPECS:
        train(sweep, spec, 3)
        finish(sweep, spec)
    for _ in range(2):
        MlflowMirror(sweep, store, str(tmp_path / "artifacts")).publish(running=False)
    network, client = runs(store)[NETWORK.key], mlflow_client(store)
    models = client.search_logged_models([network.info.experiment_id])
    assert len(models) == len(SPECS)
    (model,) = [one for one in models if one.source_run_id == network.info.run_id]
    assert "/" not in model.name
    assert (model.status, model.model_type) == ("READY", NETWORK.refiner)
    assert model.params["settings.hidden"] == "8"
    metrics = {one.key: one for one in model.metrics or []}
    assert metrics["test_mpjpe"].value == network.data.metrics["test_mpjpe"] == 50.0
    assert (metrics["test_mpjpe"].dataset_name, metrics["test_mpjpe"].dataset_digest) == (
        str(TRACK),
        "cafe",
    )
    assert model.tags["poise.checkpoint"] == f"runs:/{network.info.run_id}/checkpoint"
    assert not list((tmp_path / "artifacts").rglob(model.model_id))
    assert [one.model_id for one in network.outputs.model_outputs] == [model.model_id]


def test_a_run_says_what_it_was_made_of(sweep: SweepFolder, store: str, tmp_path: Path) -> None:
    sweep.begin(PLAN, [spec.key for spec in SPECS], "4567beef", ORIGIN)
    sweep.write_source("4567beef-01.diff", b"+ a line")
    folder = sweep.trial(NETWORK.key)
    folder.keep_facts("origin", ORIGIN)
    folder.keep_facts("machine", {"host": "node-3", "device": "cpu"})
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, format="png")
    folder.save_picture("worst", out.getvalue())
    usage = {"cpu_utilization_percentage": 40.0}
    folder.save_epoch([Epoch(1, 1500, 0.5, {"loss": 1.0}, usage)], b"")
    finish(sweep, NETWORK)
    finish(sweep, INPUT)  # of an earlier version: nobody wrote down where it came from
    MlflowMirror(sweep, store, str(tmp_path / "artifacts")).publish(running=False)
    found = runs(store)
    run, earlier = found[NETWORK.key], found[INPUT.key]
    told = {
        "git.commit": "4567beef",
        "git.branch": "main",
        "git.dirty": "true",
        "name": "poise sweep --plan mirrored",
        "type": "LOCAL",
    }
    assert {name: run.data.tags[f"mlflow.source.{name}"] for name in told} == told
    assert run.data.tags["poise.machine.host"] == "node-3"
    assert run.data.params["method"] == "SmoothNet"
    (data,) = run.inputs.dataset_inputs
    assert (data.dataset.name, data.dataset.digest) == (str(TRACK), "cafe")
    assert [(tag.key, tag.value) for tag in data.tags] == [("mlflow.data.context", "train, test")]
    uri = "s3://bucket/lake/synthetic/simulated-3D"
    assert mlflow.data.get_source(data).uri == uri
    assert earlier.data.tags["mlflow.source.git.commit"] == "4567beef"
    assert earlier.inputs.dataset_inputs[0].dataset.source == data.dataset.source
    assert run.data.metrics["system/cpu_utilization_percentage"] == 40.0
    assert run.data.tags["mlflow.loggedImages"] == "True"
    client = mlflow_client(store)
    images = [file.path for file in client.list_artifacts(run.info.run_id, "images")]
    picture = "images/worst sequence+step+0+timestamp+2000+worst"
    assert images == [f"{picture}+compressed.webp", f"{picture}.png"]
    files = client.list_artifacts(found[PLAN.name].info.run_id, "source")
    assert [file.path for file in files] == ["source/4567beef-01.diff"]


def test_the_pages_are_told_how_to_show_a_plan(
    sweep: SweepFolder, store: str, tmp_path: Path
) -> None:
    finish(sweep, NETWORK)
    sweep.begin(PLAN, [spec.key for spec in SPECS], "4567beef", ORIGIN)
    sweep.write_table("table.md", b"| a table |")
    MlflowMirror(sweep, store, str(tmp_path / "artifacts")).publish(running=False)
    experiment = mlflow_client(store).get_experiment_by_name(PLAN.name)
    assert experiment is not None
    tags = experiment.tags
    assert tags["mlflow.experimentKind"] == "custom_model_development"
    for said in ("mirrored", "4567beef", "poise sweep --plan mirrored", "| a table |"):
        assert said in tags["mlflow.note.content"]
    view = json.loads(tags["mlflow.sharedViewState.poise-methods"])
    state = json.loads(view["state"])
    assert state["groupBy"]["groupByKeys"] == [{"mode": "param", "groupByData": "method"}]
    assert state["groupsExpanded"]["param.method.SmoothNet"] is False


def test_a_table_too_long_for_a_description_is_cut_between_tables() -> None:
    table = "\n\n".join(f"### track {number}\n\n{'| a line |' * 50}" for number in range(90))
    text = described(PLAN.model_dump(mode="json"), ORIGIN, table)
    assert 15_000 < len(text) < 20_000
    assert "| a line |\n\n\nThe rest is in `table.md`" in text


def test_runs_of_an_earlier_poise_are_told_anew(
    sweep: SweepFolder, store: str, tmp_path: Path
) -> None:
    finish(sweep, NETWORK)

    def publish() -> Run:
        MlflowMirror(sweep, store, str(tmp_path / "artifacts")).publish(running=False)
        return runs(store)[NETWORK.key]

    client, run_id = mlflow_client(store), publish().info.run_id
    client.delete_tag(run_id, "poise.told")
    client.update_run(run_id, name="an earlier name")
    run = publish()
    assert run.info.run_id == run_id
    assert run.info.run_name == f"SmoothNet · {TRACK} · seed 0"


def test_a_fold_is_told_by_its_run(sweep: SweepFolder, store: str, tmp_path: Path) -> None:
    spec = replace(NETWORK, fold=Fold(2, 5))
    sweep.trial(spec.key).begin(spec)
    result = finish(sweep, spec)
    sweep.trial(spec.key).finish(replace(result, tested=("S2", "S7")))
    MlflowMirror(sweep, store, str(tmp_path / "artifacts")).publish(running=False)
    run = runs(store)[spec.key]
    assert run.info.run_name == f"SmoothNet · {TRACK} · seed 0 · fold 2"
    assert run.data.params["fold"] == "2"
    told = {name: run.data.tags[name] for name in ("poise.fold", "poise.tested")}
    assert told == {"poise.fold": "fold 2 of 5", "poise.tested": "S2, S7"}


def test_publishing_again_changes_nothing(sweep: SweepFolder, store: str, tmp_path: Path) -> None:
    train(sweep, NETWORK, 2)
    mirror = MlflowMirror(sweep, store, str(tmp_path / "artifacts"))
    mirror.publish(running=True)
    train(sweep, NETWORK, 3)
    mirror.publish(running=True)
    for spec in SPECS:
        finish(sweep, spec)

    def everything() -> str:
        client = mlflow_client(store)
        found = runs(store)
        history = [
            [(m.key, m.step, m.timestamp, m.value) for m in client.get_metric_history(id_, key)]
            for id_, keys in ((r.info.run_id, sorted(r.data.metrics)) for r in found.values())
            for key in keys
        ]
        ends = [(key, run.info.status) for key, run in sorted(found.items())]
        return json.dumps([ends, sorted(map(json.dumps, history))])

    mirror.publish(running=False)
    once = everything()
    MlflowMirror(sweep, store, str(tmp_path / "artifacts")).publish(running=False)
    assert everything() == once


def test_an_interrupted_trial_is_killed_and_the_same_run_goes_on(
    sweep: SweepFolder, store: str, tmp_path: Path
) -> None:
    def publish(running: bool) -> Run:
        MlflowMirror(sweep, store, str(tmp_path / "artifacts")).publish(running)
        return runs(store)[NETWORK.key]

    train(sweep, NETWORK, 1)
    first = publish(running=True)
    assert first.info.status == "RUNNING"
    assert publish(running=False).info.status == "KILLED"
    assert runs(store)[PLAN.name].info.status == "KILLED"
    train(sweep, NETWORK, 2)
    assert publish(running=True).info.status == "RUNNING"
    finish(sweep, NETWORK)
    last = publish(running=True)
    assert last.info.status == "FINISHED"
    assert last.info.run_id == first.info.run_id
    assert INPUT.key not in runs(store)


def test_a_run_that_no_plan_names_any_more_is_closed(
    sweep: SweepFolder, store: str, tmp_path: Path
) -> None:
    train(sweep, NETWORK, 1)
    MlflowMirror(sweep, store, str(tmp_path / "artifacts")).publish(running=True)
    sweep.begin(PLAN, [INPUT.key], "0123abcd")
    finish(sweep, INPUT)
    MlflowMirror(sweep, store, str(tmp_path / "artifacts")).publish(running=False)
    found = runs(store)
    assert found[NETWORK.key].info.status == "KILLED"
    assert found[PLAN.name].info.status == "FINISHED"


def test_a_failed_trial_says_why(sweep: SweepFolder, store: str, tmp_path: Path) -> None:
    sweep.begin(PLAN, [NETWORK.key], "0123abcd")
    sweep.trial(NETWORK.key).finish(TrialResult("failed", 1, 2, "loss is nan in epoch 1"))
    MlflowMirror(sweep, store, str(tmp_path / "artifacts")).publish(running=False)
    run = runs(store)[NETWORK.key]
    assert run.info.status == "FAILED"
    assert run.data.tags["poise.reason"] == "loss is nan in epoch 1"
    assert runs(store)[PLAN.name].info.status == "FAILED"


@pytest.fixture
def silent_server() -> Iterator[str]:
    """Accepts connections and never says a word."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(16)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_a_silent_server_costs_the_patience_and_no_more(
    sweep: SweepFolder, silent_server: str
) -> None:
    train(sweep, NETWORK, 1)
    publisher = BackgroundPublisher(
        MlflowMirror(sweep, silent_server, None).publish, 0.01, silent_server
    )
    publisher.start()
    time.sleep(0.2)
    start = time.monotonic()
    problem = publisher.finish(patience=1.0)
    assert time.monotonic() - start < 20
    assert "has not answered" in problem


def test_a_publisher_survives_failures_and_tries_again() -> None:
    seen: list[bool] = []
    twice = threading.Event()

    def publish(running: bool) -> None:
        seen.append(running)
        if len(seen) >= 2:
            twice.set()
        if len(seen) < 3:
            raise OSError("no route to host\nand a long trace")

    publisher = BackgroundPublisher(publish, 0.01, "somewhere")
    publisher.start()
    assert twice.wait(10)
    while len(seen) < 3:
        time.sleep(0.01)
    assert publisher.finish(patience=10) == ""
    assert seen[-1] is False
    assert seen[:-1] == [True] * (len(seen) - 1)


def test_the_last_failure_is_told_in_one_line() -> None:
    def publish(_: bool) -> None:
        raise OSError("no route to host\nand a long trace")

    publisher = BackgroundPublisher(publish, 60.0, "somewhere")
    publisher.start()
    assert publisher.finish(patience=10) == "no route to host"
