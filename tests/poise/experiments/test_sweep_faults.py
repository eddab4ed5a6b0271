"""Sweeps with a fault in the middle: each ends in the table of one that nobody disturbed.

docs/sweeps.md lists the faults, and which test has which.
"""

import os
import signal
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.mlflow_server import fresh_store
from tests.support.sweep_job import run_statuses
from tests.support.tiny_lake import write_tiny_lake
from tests.support.tiny_plan import SYNSPP, plan_of

from poise.checkpoints.mlflow_client import mlflow_client
from poise.evaluation.tables import Entry
from poise.experiments import sweep as sweeps
from poise.experiments.live.beat import read_beat
from poise.experiments.records import SweepFolder
from poise.experiments.sweep import SweepResult, republish, run_sweep
from poise.runtime import storage

pytestmark = [pytest.mark.slow, pytest.mark.chaos, pytest.mark.usefixtures("cluster")]

#: Long enough that a fault comes before its end.
LONG = {"epochs": 60, "batch": 16, "steps_per_epoch": 2}
PLAN = plan_of("input", SYNSPP, budget=LONG)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("lake")
    write_tiny_lake(folder)
    return str(folder)


def run(lake: str, folder: Path, uri: str) -> SweepResult:
    return run_sweep(PLAN, lake, str(folder / "sweeps"), uri, str(folder / "artifacts"), 0.2)


def table(entries: list[Entry]) -> list[dict[str, Any]]:
    return [{k: v for k, v in e.to_json().items() if k != "seconds"} for e in entries]


@pytest.fixture(scope="module")
def undisturbed(
    cluster: None, lake: str, tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, Any]]:
    """The table where nothing goes wrong."""
    folder = tmp_path_factory.mktemp("undisturbed")
    return table(run(lake, folder, fresh_store(folder)).entries)


def test_a_worker_killed_within_an_epoch(
    lake: str, tmp_path: Path, undisturbed: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    folder = SweepFolder(str(tmp_path / "sweeps" / PLAN.name))
    killed: list[int] = []
    over = threading.Event()

    def kill() -> None:
        """Wait for the network's first epoch, and kill the process that is at its second."""
        while not killed and not over.wait(0.02):
            trials = map(folder.trial, storage.list_dir(storage.join(folder.uri, "trials")))
            for trial in trials:
                beat = read_beat(trial)
                if beat is not None and trial.history() and trial.result() is None:
                    os.kill(beat.pid, signal.SIGKILL)
                    killed.append(beat.pid)

    killer, uri = threading.Thread(target=kill), fresh_store(tmp_path)
    killer.start()
    try:
        outcome = run(lake, tmp_path, uri)
    finally:
        over.set()
        killer.join()
    assert killed
    assert "its worker died; it goes on from its last epoch" in caplog.text
    assert table(outcome.entries) == undisturbed
    assert list(run_statuses(uri).values()) == ["FINISHED"] * 3


@contextmanager
def silent_server(_: Path) -> Iterator[str]:
    """Accepts connections and never says a word."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@contextmanager
def locked_store(folder: Path) -> Iterator[str]:
    """A store in which somebody has begun to write and does not end."""
    uri = fresh_store(folder)
    with closing(sqlite3.connect(folder / "mlflow.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield uri


@pytest.mark.parametrize("fault", [silent_server, locked_store])
def test_a_tracking_store_that_takes_nothing(
    fault: Callable[[Path], AbstractContextManager[str]],
    lake: str,
    tmp_path: Path,
    undisturbed: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweeps, "_PATIENCE_S", 1.0)
    with fault(tmp_path / "store") as uri:
        outcome = run(lake, tmp_path, uri)
    assert table(outcome.entries) == undisturbed
    (note,) = outcome.notes
    assert "MLflow is not up to date" in note
    for thread in threading.enumerate():
        if thread.name == "poise-publisher":
            thread.join(100)
            assert not thread.is_alive()
    # Whoever was given up wrote nothing when the store came back.
    assert not list((tmp_path / "store").glob("mlflow.db?*"))
    after = uri if uri.startswith("sqlite") else fresh_store(tmp_path)
    assert not mlflow_client(after).get_experiment_by_name(PLAN.name)
    later = republish(PLAN, str(tmp_path / "sweeps"), after, str(tmp_path / "artifacts"))
    assert table(later.entries) == undisturbed
    assert list(run_statuses(after).values()) == ["FINISHED"] * 3
