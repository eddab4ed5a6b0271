import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.mlflowserver import free_port, fresh_store
from tests.tinylake import write_tiny_lake

from poise.tracking import TRIAL_KEY, connect

ROOT = Path(__file__).parents[2]
SWEEP = ROOT / "jobs" / "sweep.py"
PLAN = """
name: tiny
tracks: [uiprmd/kinect/3D]
refiners:
  - input
  - offset
  - {name: synspp, settings: {width: 8, feed_forward: 8, heads: 1, layers: 1, skip: low}}
budget: {epochs: 40, batch: 16, steps_per_epoch: 2}
"""
KEYS = ("track", "refiner", "seed", "mpjpe", "pa_mpjpe", "accel", "frames", "params", "seconds")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return prepare(tmp_path)


def prepare(folder: Path) -> Path:
    write_tiny_lake(folder / "lake")
    (folder / "tiny.yaml").write_text(PLAN)
    fresh_store(folder)
    return folder


def environment(**more: str) -> dict[str, str]:
    dropped = ("POISE_DATA", "POISE_HOME", "MLFLOW_TRACKING_URI", "PYTHONPATH", "RAY_ADDRESS")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    # Shebangs and jobs take the python that runs the tests.
    kept["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**kept, "RAY_AUTH_MODE": "disabled", "OMP_NUM_THREADS": "1", **more}


def command(home: Path, *more: str) -> list[str]:
    plan = str(home / "tiny.yaml")
    return [sys.executable, str(SWEEP), "--plan", plan, "--home", str(home), *more]


def run(home: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(home, *more), env=environment(), capture_output=True, text=True, timeout=280,
        check=False,
    )  # fmt: skip


def rows(home: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((home / "rows.json").read_text())
    return found


def timeless(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: row[key] for key in KEYS if key != "seconds"} for row in found]


def statuses(home: Path) -> dict[str, str]:
    client = connect(f"sqlite:///{home}/mlflow.db")
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id])
    keys = [run.data.tags.get(TRIAL_KEY, "parent") for run in found]
    assert len(keys) == len(set(keys))
    return {key: run.info.status for key, run in zip(keys, found, strict=True)}


def epochs_done(home: Path) -> int:
    histories = home.glob("sweeps/tiny/trials/*/history.json")
    return max((len(json.loads(file.read_text())) for file in histories), default=0)


def start_and_wait(home: Path, epochs: int) -> subprocess.Popen[bytes]:
    with (home / "job.log").open("wb") as log:
        job = subprocess.Popen(
            command(home, "--json", str(home / "rows.json")),
            env=environment(), stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    deadline = time.monotonic() + 200
    while epochs_done(home) < epochs:
        assert job.poll() is None, (home / "job.log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return job


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    home = prepare(tmp_path_factory.mktemp("undisturbed"))
    done = run(home, "--json", str(home / "rows.json"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Refiner" in done.stdout
    assert "epoch 40/40" in done.stdout
    assert "\x1b" not in done.stdout
    assert "Last result" not in done.stdout
    return rows(home)


@pytest.mark.slow
def test_rows_have_the_promised_keys_in_catalogue_order(undisturbed: list[dict[str, Any]]) -> None:
    assert [row["refiner"] for row in undisturbed] == ["input", "offset", "synspp"]
    for row in undisturbed:
        assert set(KEYS) <= set(row)


@pytest.mark.slow
@pytest.mark.chaos
@pytest.mark.parametrize("epochs", [1, 20])
def test_a_sweep_killed_anywhere_ends_in_the_same_table(
    home: Path, undisturbed: list[dict[str, Any]], epochs: int
) -> None:
    job = start_and_wait(home, epochs)
    os.kill(job.pid, signal.SIGKILL)
    job.wait()
    before = epochs_done(home)
    done = run(home, "--json", str(home / "rows.json"))
    assert done.returncode == 0, done.stdout + done.stderr
    # It went on from its last epoch: none that was finished is done again.
    assert f"epoch {before - 1}/40, loss" in done.stdout or before <= 2
    assert timeless(rows(home)) == timeless(undisturbed)
    assert set(statuses(home).values()) == {"FINISHED"}
    assert len(statuses(home)) == 4


@pytest.mark.slow
@pytest.mark.chaos
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_sweep_stops_in_order_and_goes_on(
    home: Path, undisturbed: list[dict[str, Any]], number: signal.Signals
) -> None:
    job = start_and_wait(home, 3)
    os.kill(job.pid, number)
    assert job.wait(timeout=90) == 130
    log = (home / "job.log").read_text()
    assert "the same command goes on from here" in log
    assert "Traceback" not in log
    assert "RUNNING" not in statuses(home).values()
    assert "KILLED" in statuses(home).values()
    done = run(home, "--json", str(home / "rows.json"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert timeless(rows(home)) == timeless(undisturbed)
    assert set(statuses(home).values()) == {"FINISHED"}


@pytest.mark.slow
@pytest.mark.chaos
def test_a_second_submission_is_refused_while_the_first_runs(home: Path) -> None:
    job = start_and_wait(home, 1)
    try:
        second = run(home)
        assert second.returncode == 1
        assert f"in use by process {job.pid} on " in second.stderr
        assert "Traceback" not in second.stderr
    finally:
        os.kill(job.pid, signal.SIGKILL)
        job.wait()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--plan", "dmeo"], "did you mean demo?"),
        (["--track", "nowhere/x/3D"], "tracks[0]: no track nowhere/x/3D"),
        (["--epochs", "0"], "budget.epochs"),
    ],
)
def test_mistakes_are_one_message_without_a_traceback(
    home: Path, arguments: list[str], message: str
) -> None:
    done = run(home, *arguments)
    assert done.returncode == 1
    assert done.stderr.startswith("sweep: ")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real head node in a process group of its own; yields the address for job submission."""
    # Unix socket paths must be short, and the head must not stand in the checkout.
    scratch = Path(tempfile.mkdtemp(prefix="poise-"))
    elsewhere = tmp_path_factory.mktemp("head")
    try:
        # As in poise.cluster: a busy machine may need more than Ray's thirty seconds.
        for _ in range(3):
            process, address = _start_head(scratch, elsewhere)
            if _answers(process, address):
                yield address
                return
            _end(process)
        pytest.fail((elsewhere / "head.log").read_text())
    finally:
        _end(process)
        shutil.rmtree(scratch, ignore_errors=True)


def _start_head(scratch: Path, cwd: Path) -> tuple[subprocess.Popen[bytes], str]:
    ports = {name: free_port() for name in ("port", "dashboard-port", "ray-client-server-port")}
    agent = ("dashboard-agent-listen-port", "dashboard-agent-grpc-port", "runtime-env-agent-port")
    ports |= {name: free_port() for name in (*agent, "node-manager-port", "object-manager-port")}
    start = [
        str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--num-cpus=2",
        "--node-ip-address=127.0.0.1", "--dashboard-host=127.0.0.1", "--include-dashboard=true",
        "--object-store-memory=100000000", "--disable-usage-stats",
        f"--temp-dir={scratch}",
        *(f"--{name}={port}" for name, port in ports.items()),
    ]  # fmt: skip
    with (cwd / "head.log").open("wb") as log:
        process = subprocess.Popen(
            start, cwd=cwd, env=environment(), stdout=log, stderr=log, start_new_session=True
        )
    return process, f"http://127.0.0.1:{ports['dashboard-port']}"


def _answers(process: subprocess.Popen[bytes], address: str) -> bool:
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if _submit(address, ["--", "true"]).returncode == 0:
            return True
        time.sleep(1)
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)


def _submit(address: str, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    ray = str(Path(sys.executable).with_name("ray"))
    return subprocess.run(
        [ray, "job", "submit", "--address", address, *arguments],
        cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=250,
        check=False,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("form", ["interpreter", "script"])
def test_a_submitted_job_runs_on_a_cluster_that_knows_nothing_of_poise(
    head: str, home: Path, form: str
) -> None:
    if form == "script":
        # The short form has no room for options; it runs the demo plan.
        env = json.dumps({"env_vars": {"POISE_HOME": str(home)}})
        done = _submit(head, ["--working-dir", ".", "--runtime-env-json", env, "jobs/sweep.py"])
        assert done.returncode == 0, done.stdout + done.stderr
        assert "SynSP++" in done.stdout
        assert (home / "sweeps" / "demo" / "tables" / "plot.png").is_file()
        return
    options = ["--plan", str(home / "tiny.yaml"), "--home", str(home), "--epochs", "2"]
    entry = ["python", "jobs/sweep.py", *options, "--json", f"{home}/rows.json"]
    done = _submit(head, ["--working-dir", ".", "--", *entry])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "epoch 2/2" in done.stdout
    assert [row["refiner"] for row in rows(home)] == ["input", "offset", "synspp"]
    assert set(statuses(home).values()) == {"FINISHED"}
