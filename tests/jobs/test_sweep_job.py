"""``jobs/sweep.py`` as a user runs it: ended in every way, and gone on with."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import ray
from tests.support.sweep_job import (
    EPOCHS,
    SWEEP,
    environment,
    prepare,
    rows,
    run_statuses,
    runs_of,
    statuses,
)

from poise.experiments.plan import load_plan
from poise.experiments.sweep import SweepResult, run_sweep
from poise.runtime.errors import BusyError
from poise.runtime.settings import Settings

KEYS = ("track", "refiner", "seed", "mpjpe", "pa_mpjpe", "accel", "frames", "params", "seconds")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return prepare(tmp_path)


def command(home: Path, *more: str) -> list[str]:
    plan = str(home / "tiny.yaml")
    return [sys.executable, str(SWEEP), "--plan", plan, "--home", str(home), *more]


def run(home: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(home, *more),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def timeless(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: row[key] for key in KEYS if key != "seconds"} for row in found]


def epochs_done(home: Path) -> int:
    histories = home.glob("sweeps/tiny/trials/*/history.json")
    return max((len(json.loads(file.read_text())) for file in histories), default=0)


def start_and_wait(home: Path, epochs: int, **where: str) -> subprocess.Popen[bytes]:
    with (home / "job.log").open("wb") as log:
        job = subprocess.Popen(
            command(home, "--json", str(home / "rows.json")),
            env=environment(**where),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.monotonic() + 200
    while epochs_done(home) < epochs:
        assert job.poll() is None, (home / "job.log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return job


@pytest.fixture(scope="module")
def undisturbed(cluster: None, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The rows of the sweep when nobody ends it."""
    home = prepare(tmp_path_factory.mktemp("undisturbed"))
    return [entry.to_json() for entry in sweep_here(home).entries]


def sweep_here(home: Path) -> SweepResult:
    plan, store = load_plan(str(home / "tiny.yaml")), f"sqlite:///{home}/mlflow.db"
    return run_sweep(plan, str(home / "lake"), str(home / "sweeps"), store, str(home / "artifacts"))


@pytest.mark.slow
def test_rows_have_the_promised_keys_in_catalogue_order(undisturbed: list[dict[str, Any]]) -> None:
    assert [row["refiner"] for row in undisturbed] == ["input", "offset", "synspp"]
    for row in undisturbed:
        assert set(KEYS) <= set(row)


@pytest.mark.slow
def test_a_sweep_in_a_home_of_an_odd_name(server: None, tmp_path: Path) -> None:
    home = prepare(tmp_path / "a #b?c%41 Zoë 阿")
    (home / "mlflow.db").unlink()
    plan = (home / "tiny.yaml").read_text().replace("epochs: 40", "epochs: 1")
    (home / "tiny.yaml").write_text(plan)
    done = run(home)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "is champion" in done.stdout
    assert "not up to date" not in done.stdout
    assert list(tmp_path.iterdir()) == [home]
    assert list(home.rglob("*.db")) == [home / "mlflow.db"]
    assert set(run_statuses(Settings.load(home=home).tracking_uri).values()) == {"FINISHED"}


@pytest.mark.slow
@pytest.mark.chaos
def test_a_sweep_ended_three_times_ends_in_the_same_table(
    home: Path, undisturbed: list[dict[str, Any]]
) -> None:
    killed = start_and_wait(home, 2)
    os.kill(killed.pid, signal.SIGSTOP)  # else it is done before the second has begun
    with pytest.raises(BusyError, match=f"in use by process {killed.pid} on "):
        sweep_here(home)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    # Ctrl-C on a Ray of its own; and what `ray job stop` sends, on one that goes on.
    elsewhere = ray.get_runtime_context().gcs_address
    for number, where in ((signal.SIGINT, {}), (signal.SIGTERM, {"RAY_ADDRESS": elsewhere})):
        log = interrupted(home, epochs_done(home) + 3, number, **where)
        assert "the same command goes on from here" in log
        assert "Traceback" not in log
        assert "RUNNING" not in statuses(home).values()
        assert "KILLED" in statuses(home).values()
    before = epochs_done(home)
    done = run(home, "--json", str(home / "rows.json"))
    assert done.returncode == 0, done.stdout + done.stderr
    # It went on from its last epoch: none that was finished is done again.
    assert f"epoch {before - 1}/{EPOCHS}, loss" in done.stdout
    assert f"epoch {EPOCHS}/{EPOCHS}" in done.stdout
    assert "Refiner" in done.stdout
    assert "\x1b" not in done.stdout
    assert "Last result" not in done.stdout
    assert timeless(rows(home)) == timeless(undisturbed)
    assert set(statuses(home).values()) == {"FINISHED"}
    assert len(statuses(home)) == 4


@pytest.mark.slow
@pytest.mark.chaos
def test_a_driver_killed_at_random_moments_until_it_is_done(
    home: Path, undisturbed: list[dict[str, Any]]
) -> None:
    moments = random.Random(16)
    elsewhere = ray.get_runtime_context().gcs_address
    for what in ("lock", "trials/*/state.safetensors", "tables/*"):
        job = start_and_wait(home, 0, RAY_ADDRESS=elsewhere)
        wait_for_a_write(home / "sweeps" / "tiny", what, job)
        time.sleep(moments.uniform(0, 0.3))
        job.kill()
        job.wait()
    done = run(home, "--json", str(home / "rows.json"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert timeless(rows(home)) == timeless(undisturbed)
    assert set(statuses(home).values()) == {"FINISHED"}
    assert len(statuses(home)) == 4


@pytest.mark.slow
@pytest.mark.chaos
def test_a_clock_set_back_by_an_hour_while_it_runs(
    server: None, home: Path, undisturbed: list[dict[str, Any]]
) -> None:
    (home / "sitecustomize.py").write_text(CLOCK.format(set_back=str(home / "set-back")))
    paths = os.pathsep.join(filter(None, [str(home), os.environ.get("PYTHONPATH")]))
    job = start_and_wait(home, 2, PYTHONPATH=paths)
    (home / "set-back").touch()
    assert job.wait(timeout=280) == 0, (home / "job.log").read_text()
    assert timeless(rows(home)) == timeless(undisturbed)
    found = list(runs_of(f"sqlite:///{home}/mlflow.db").values())
    assert [run.info.status for run in found] == ["FINISHED"] * 4
    for run in found:
        assert run.info.start_time <= run.info.end_time
    network = max(found, key=lambda run: len(run.data.metrics))
    assert 0 < network.data.metrics["epoch_seconds"] < 60


#: Every process of the job takes it for an hour earlier from a moment on.
CLOCK = """
import os, time

_time, _time_ns = time.time, time.time_ns


def _hours():
    return os.path.exists({set_back!r})


time.time = lambda: _time() - 3600 * _hours()
time.time_ns = lambda: _time_ns() - 3600 * 10**9 * _hours()
"""


def wait_for_a_write(sweep: Path, what: str, job: subprocess.Popen[bytes]) -> None:
    """Wait until a job writes a kind of file, or has ended."""

    def times() -> set[int]:
        with suppress(FileNotFoundError):  # files come and go
            return {file.stat().st_mtime_ns for file in sweep.glob(what)}
        return before

    before: set[int] = set()
    before = times()
    deadline = time.monotonic() + 200
    while times() <= before and job.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def interrupted(home: Path, epochs: int, number: signal.Signals, **where: str) -> str:
    """Start the sweep, end it by a signal after some epochs; return what it said."""
    job = start_and_wait(home, epochs, **where)
    os.kill(job.pid, number)
    assert job.wait(timeout=90) == 130
    return (home / "job.log").read_text()
