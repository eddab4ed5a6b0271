"""A sweep submitted to a Ray cluster that does not have Poise installed."""

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

import httpx
import pytest
import yaml
from tests.support.ports import free_port
from tests.support.sweep_job import ROOT, environment, prepare, run_statuses

from poise.catalog.tracks import Track
from poise.lake.manifest import read_manifest
from poise.readers.layouts import write_smoothnet
from poise.readers.synthetic.sequences import Size, sequences

TRACK = Track.parse("uiprmd/kinect/3D")


@pytest.fixture(scope="module")
def head(server: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real head node in a process group of its own; yields the address for job submission."""
    # Unix socket paths must be short, and the head must not stand in the checkout.
    scratch = Path(tempfile.mkdtemp(prefix="poise-"))
    elsewhere = tmp_path_factory.mktemp("head")
    try:
        # As in `ray_cluster.join`: a busy machine may need more than Ray's thirty seconds.
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
        str(Path(sys.executable).with_name("ray")),
        "start",
        "--head",
        "--block",
        "--num-cpus=2",
        "--node-ip-address=127.0.0.1",
        "--dashboard-host=127.0.0.1",
        "--include-dashboard=true",
        "--object-store-memory=100000000",
        "--disable-usage-stats",
        f"--temp-dir={scratch}",
        *(f"--{name}={port}" for name, port in ports.items()),
    ]
    with (cwd / "head.log").open("wb") as log:
        process = subprocess.Popen(
            start, cwd=cwd, env=environment(), stdout=log, stderr=log, start_new_session=True
        )
    return process, f"http://127.0.0.1:{ports['dashboard-port']}"


def _answers(process: subprocess.Popen[bytes], address: str) -> bool:
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError, httpx.HTTPError):
            httpx.get(f"{address}/api/version", timeout=5).raise_for_status()
            # A node takes jobs a moment later than it tells its version.
            if _submit(address, ["--", "true"]).returncode == 0:
                return True
        time.sleep(0.5)
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)


def _submit(address: str, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    ray = str(Path(sys.executable).with_name("ray"))
    return subprocess.run(
        [ray, "job", "submit", "--address", address, *arguments],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "entry",
    [
        ["--working-dir", ".", "--", "python", "jobs/ingest.py"],
        ["--", str(ROOT / "jobs" / "ingest.py")],  # nothing travels: every node has the checkout
    ],
    ids=["interpreter", "path"],
)
def test_options_run_on_a_cluster_that_knows_nothing_of_poise(
    entry: list[str], head: str, tmp_path: Path
) -> None:
    data, home = tmp_path / "raw", tmp_path / "home"
    for split, people in (("train", 2), ("test", 1)):
        write_smoothnet(data, TRACK, split, sequences(split, Size(people, 1, 24)))
    done = _submit(head, [*entry, "--home", str(home), "--data", str(data)])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 sequences, 72 frames, 51 windows" in done.stdout
    assert read_manifest(home / "lake", TRACK).pvd is not None


@pytest.mark.slow
def test_a_script_runs_on_a_cluster_that_knows_nothing_of_poise(head: str, tmp_path: Path) -> None:
    """The short form has no room for options; it runs the demo plan."""
    home = prepare(tmp_path)
    shared = yaml.safe_load((ROOT / "runtime_env.yaml").read_text())["env_vars"]
    env = json.dumps({"env_vars": {**shared, "POISE_HOME": str(home)}})
    done = _submit(head, ["--working-dir", ".", "--runtime-env-json", env, "jobs/sweep.py"])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SynSP++" in done.stdout
    tables = home / "sweeps" / "demo" / "tables"
    assert (tables / "plot.png").is_file()
    rows = json.loads((tables / "rows.json").read_text())
    assert {"input", "offset", "synspp"} <= {row["refiner"] for row in rows}
    assert set(run_statuses(f"sqlite:///{home}/mlflow.db", "demo").values()) == {"FINISHED"}
