"""A home's tracking store is whole or not there; one that cannot be opened is replaced."""

import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import mlflow.store.db.utils as schema
import pytest
from alembic import command
from mlflow.store.tracking.dbmodels.initial_models import Base
from sqlalchemy import create_engine
from tests.support.mlflow_server import fresh_store
from tests.support.written_sweep import PLAN, SPECS, begun_sweep, finish

from poise.checkpoints.mlflow_client import mlflow_client
from poise.checkpoints.sqlite_store import make_store
from poise.cli.main import main
from poise.experiments.mlflow_mirror import MlflowMirror
from poise.runtime.errors import ModelError
from poise.runtime.settings import Settings


def truncated(store: Path) -> None:
    store.write_bytes(store.read_bytes()[:4096])


def a_few_bytes(store: Path) -> None:
    store.write_bytes(store.read_bytes()[:50])


def empty(store: Path) -> None:
    store.write_bytes(b"")


def no_database(store: Path) -> None:
    store.write_bytes(b"no database" * 999)


def overwritten(store: Path) -> None:
    found = store.read_bytes()
    store.write_bytes(found[:8192] + b"\xff" * 8192 + found[16384:])


def half_migrated(store: Path) -> None:
    store.unlink()
    engine = create_engine(f"sqlite:///{store}")
    Base.metadata.create_all(engine)
    command.upgrade(schema._get_alembic_config(f"sqlite:///{store}"), "+20")


def killed_between_two_steps(store: Path) -> None:
    half_migrated(store)
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute("DELETE FROM alembic_version")


def an_old_journal(store: Path) -> None:
    truncated(store)
    Path(f"{store}-journal").write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + b"\1" * 4096)


@pytest.mark.slow
@pytest.mark.parametrize(
    "ruin",
    [
        truncated,
        a_few_bytes,
        empty,
        no_database,
        overwritten,
        half_migrated,
        killed_between_two_steps,
        an_old_journal,
    ],
)
def test_a_home_whose_store_cannot_be_opened_is_published_anew(
    ruin: Callable[[Path], None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fresh_store(tmp_path)
    store = tmp_path / "mlflow.db"
    ruin(store)
    was = store.read_bytes()
    publish(tmp_path)
    assert runs(tmp_path) == len(SPECS) + 1
    aside = [path for path in tmp_path.glob("mlflow.db.2*") if path.suffix != "-journal"]
    if was:
        assert was in [path.read_bytes() for path in aside]
        assert f"is now {min(path.name for path in aside)}" in caplog.text
    assert not list(tmp_path.glob(".mlflow.db.new*"))


def publish(home: Path) -> None:
    """Send a finished sweep of the home to its store."""
    sweep = begun_sweep(home)
    for spec in SPECS:
        finish(sweep, spec)
    settings = Settings.load(home=home)
    MlflowMirror(sweep, settings.tracking_uri, settings.artifacts).publish(running=False)


def runs(home: Path) -> int:
    client = mlflow_client(Settings.load(home=home).tracking_uri)
    experiment = client.get_experiment_by_name(PLAN.name)
    assert experiment is not None
    return len(client.search_runs([experiment.experiment_id]))


def test_what_the_user_named_is_never_moved(tmp_path: Path) -> None:
    store = tmp_path / "mine.db"
    no_database(store)
    before = store.read_bytes()
    with pytest.raises(ModelError, match=r"mine\.db"):
        MlflowMirror(
            begun_sweep(tmp_path), f"sqlite:///{store}", f"{tmp_path}/mlartifacts"
        ).publish(running=False)
    assert store.read_bytes() == before


def test_a_store_of_a_newer_mlflow_stays_where_it_is(tmp_path: Path) -> None:
    fresh_store(tmp_path)
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'abcdef012345'")
    with pytest.raises(ModelError, match="newer MLflow"):
        publish(tmp_path)
    assert not list(tmp_path.glob("mlflow.db.*"))


@pytest.mark.parametrize("command", [["ui"], ["export", "poise-a-b-3D@champion", "out.onnx"]])
def test_who_only_reads_says_what_to_do_in_one_line(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truncated_store = tmp_path / "mlflow.db"
    fresh_store(tmp_path)
    truncated(truncated_store)
    assert main([*command, "--home", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "run poise sweep there" in said
    assert len(said.splitlines()) == 1


@pytest.mark.slow
def test_a_store_that_does_not_fit_on_the_disk_leaves_nothing(tmp_path: Path) -> None:
    store = tmp_path / "home" / "mlflow.db"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(ModelError, match="cannot be written"):
            make_store(store)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in store.parent.iterdir()] == [".mlflow.db.lock"]
    make_store(store)
    assert runs_of_nobody(store) == 0


def runs_of_nobody(store: Path) -> int:
    return len(mlflow_client(f"sqlite:///{store}").search_runs(["0"]))


PUBLISH = ("sweep", "--publish-only", "--plan")


@pytest.mark.slow
@pytest.mark.chaos
def test_a_kill_at_any_moment_costs_nothing(tmp_path: Path) -> None:
    sweep = begun_sweep(tmp_path)
    for spec in SPECS:
        finish(sweep, spec)
    (tmp_path / "plan.yaml").write_text(PLAN.model_dump_json())
    arguments = [*PUBLISH, str(tmp_path / "plan.yaml"), "--home", str(tmp_path)]
    whole = seconds_to_publish(arguments)
    for part in (0.1, 0.5, 0.7, 0.8, 0.9, 0.97):
        for path in tmp_path.glob("*mlflow.db*"):
            path.unlink()
        begun = time.monotonic()
        job = start(arguments)
        while job.poll() is None and time.monotonic() - begun < part * whole:
            time.sleep(0.01)
        job.send_signal(signal.SIGKILL)
        job.wait()
        again = start(arguments)
        said, _ = again.communicate(timeout=200)
        assert again.returncode == 0, said
        assert "not up to date" not in said
        assert runs(tmp_path) == len(SPECS) + 1


def start(arguments: list[str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "poise", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def seconds_to_publish(arguments: list[str]) -> float:
    begun = time.monotonic()
    said, _ = start(arguments).communicate(timeout=200)
    assert "not up to date" not in said
    return time.monotonic() - begun
