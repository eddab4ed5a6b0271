"""Everything on servers: MLflow on PostgreSQL, its files and all of Poise's own on S3."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from tests.support.mlflow_server import MlflowServer
from tests.support.object_store import new_bucket
from tests.support.postgres import Postgres, programs
from tests.support.serving import clip
from tests.support.sweep_job import PLAN, runs_of
from tests.support.tiny_lake import TRACK, write_tiny_lake
from tests.support.written_sweep import NETWORK, SPECS, begun_sweep, finish, train
from tests.support.written_sweep import TRACK as WRITTEN

from poise.checkpoints.checkpoint import load_checkpoint
from poise.checkpoints.mlflow_client import mlflow_client
from poise.checkpoints.registry import model_name, resolve
from poise.cli.main import main
from poise.experiments.background_publisher import BackgroundPublisher
from poise.experiments.mlflow_mirror import MlflowMirror
from poise.experiments.promote import Candidate, promote
from poise.readers.layouts import write_smoothnet
from poise.readers.synthetic.sequences import Size, sequences
from poise.runtime import storage
from poise.runtime.errors import ModelError
from poise.runtime.settings import VARIABLES
from poise.serving.running_service import running_service
from poise.serving.service_args import ServiceArgs

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Servers:
    """MLflow, its database, and a bucket that holds a tiny lake."""

    mlflow: MlflowServer
    database: Postgres | None
    bucket: str


@pytest.fixture(scope="module")
def servers(s3: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Without PostgreSQL, MLflow keeps its runs in sqlite; a test says so."""
    bucket, folder = new_bucket("servers"), tmp_path_factory.mktemp("mlflow")
    write_tiny_lake(f"{bucket}/lake")
    where = programs()
    if where is None:
        with MlflowServer(folder, artifacts=f"{bucket}/mlflow") as mlflow:
            yield Servers(mlflow, None, bucket)
        return
    with (
        Postgres(where) as database,
        MlflowServer(folder, database.uri, f"{bucket}/mlflow") as mlflow,
    ):
        yield Servers(mlflow, database, bucket)


@pytest.fixture(autouse=True)
def nothing_here(servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings but the servers, and a home of the test's own."""
    for variable in VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", servers.mlflow.uri)
    monkeypatch.setenv("POISE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("POISE_LAKE", f"{servers.bucket}/lake")
    monkeypatch.setenv("HOME", str(tmp_path))  # models of a registry are kept there


def test_the_database_is_a_real_postgresql(servers: Servers) -> None:
    if servers.database is None:
        pytest.skip("the tests of this file ran with sqlite: no pg_ctl, or no psycopg")


@pytest.mark.chaos
def test_a_server_killed_in_the_middle_gets_everything_later(
    servers: Servers, tmp_path: Path
) -> None:
    """And one whose database was cut off has it open again."""
    sweep = begun_sweep(tmp_path)
    train(sweep, NETWORK, 1)
    mirror = MlflowMirror(sweep, servers.mlflow.uri, None)
    mirror.publish(running=True)
    for spec in SPECS:
        train(sweep, spec, 3)
        finish(sweep, spec)
    with _once(lambda: len(runs_of(servers.mlflow.uri, "mirrored")) > 2, servers.mlflow.kill):
        publisher = BackgroundPublisher(mirror.publish, 60.0, servers.mlflow.uri)
        publisher.start()
        start = time.monotonic()
        assert "does not answer" in publisher.finish(60), "not what it says of a hung server"
        assert time.monotonic() - start < 30
    servers.mlflow.start()
    again = MlflowMirror(sweep, servers.mlflow.uri, None)
    if servers.database is not None:  # whose connections MLflow has open
        servers.database.cut()
        servers.database.start()
    again.publish(running=False)
    assert again.link.startswith(f"{servers.mlflow.uri}/#/experiments/")
    found = runs_of(servers.mlflow.uri, "mirrored")
    assert len(found) == len(SPECS) + 1
    assert {run.info.status for run in found.values()} == {"FINISHED"}
    steps = [m.step for m in again.client.get_metric_history(again.run_id(NETWORK.key), "loss")]
    assert steps == [1, 2, 3]
    result = sweep.trial(NETWORK.key).result()
    assert result is not None
    assert "is champion" in "".join(promote(again, Candidate(NETWORK, result)))


@contextmanager
def _once(happened: Callable[[], bool], then: Callable[[], None]) -> Iterator[None]:
    """Do something as soon as something has happened, which must be inside the block."""

    def watch() -> None:
        deadline = time.monotonic() + 100
        while not happened() and time.monotonic() < deadline:
            time.sleep(0.02)
        then()

    watcher = threading.Thread(target=watch)
    watcher.start()
    yield
    watcher.join()


def test_a_sweep_leaves_nothing_on_this_machine(
    servers: Servers, cluster: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "tiny.yaml"
    plan.write_text(PLAN.replace("epochs: 40", "epochs: 2"))
    assert main(["sweep", "--plan", str(plan), "--storage", f"{servers.bucket}/sweeps"]) == 0
    assert "is champion" in capsys.readouterr().out
    found = runs_of(servers.mlflow.uri)
    assert {run.info.status for run in found.values()} == {"FINISHED"}
    parent = found.pop("parent")
    client = mlflow_client(servers.mlflow.uri)
    for run in found.values():
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        files = {file.path for file in client.list_artifacts(run.info.run_id)}
        assert {"checkpoint", "sequences.csv", "validation.csv"} <= files
    assert "table.md" in storage.list_dir(f"{servers.bucket}/sweeps/tiny/tables")
    assert parent.info.experiment_id in storage.list_dir(f"{servers.bucket}/mlflow")
    assert not (tmp_path / "home").exists()


def test_its_champion_is_scored_and_served(servers: Servers, cluster: None, tmp_path: Path) -> None:
    champion = f"{model_name(TRACK)}@champion"
    write_smoothnet(tmp_path / "raw", TRACK, "test", sequences("test", Size(1, 1, 40)))
    given = ["--track", str(TRACK), "--data", str(tmp_path / "raw"), "--without-retrieval"]
    assert main(["evaluate", "--model", champion, *given]) == 0
    with running_service(ServiceArgs(model=champion), port=0) as url:
        body = {"poses": clip(20).tolist()}
        answer = httpx.post(f"{url}/v1/refine", json=body, timeout=120).json()
    assert len(answer["poses"]) == 20
    assert (answer["model"]["name"], answer["model"]["version"]) == (model_name(TRACK), "1")


def test_the_doctor_finds_them_well_and_leaves_them_as_they_are(
    servers: Servers, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = storage.list_dir(f"{servers.bucket}/mlflow")
    main(["doctor", "--json"])
    told = {one["name"]: one for one in json.loads(capsys.readouterr().out)["checks"]}
    for name in ("answers", "clock", "writable", "artifacts"):
        assert told[f"mlflow.{name}"]["status"] == "ok", told
    assert told["lake.parts"]["status"] == told["registry.files"]["status"] == "ok"
    assert f"{model_name(WRITTEN)}@champion" in told["registry.files"]["found"]
    client = mlflow_client(servers.mlflow.uri)
    assert not any(
        one.startswith("poise.doctor")
        for experiment in client.search_experiments()
        for one in experiment.tags
    )
    assert storage.list_dir(f"{servers.bucket}/mlflow") == kept


@pytest.mark.chaos
def test_a_model_that_was_used_before_is_kept_for_when_the_server_is_gone(
    servers: Servers, tmp_path: Path
) -> None:
    """The last of this file: it leaves no server."""
    local = resolve(model_name(WRITTEN), servers.mlflow.uri, tmp_path / "cache")
    assert Path(local).is_relative_to(tmp_path / "cache")
    servers.mlflow.kill()
    # Version 1 stays readable from the cache, but a name has to be looked up.
    load_checkpoint(local)
    with pytest.raises(ModelError, match="does not answer"):
        resolve(model_name(WRITTEN), servers.mlflow.uri, tmp_path / "cache")
