"""Jobs submitted in every form to a Ray cluster that has the pins, but not Poise, and a token."""

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]
import httpx
import pytest
import yaml
from tests.support.object_store import ACCOUNT, new_bucket
from tests.support.ports import free_port
from tests.support.sweep_job import ROOT, environment, prepare, run_statuses
from tests.support.tiny_lake import write_tiny_lake

from poise.catalog.tracks import Track
from poise.experiments.records import SweepFolder
from poise.lake.manifest import read_manifest
from poise.readers.layouts import write_smoothnet
from poise.readers.synthetic.sequences import Size, sequences

TRACK = Track.parse("uiprmd/kinect/3D")
SHARED = yaml.safe_load((ROOT / "runtime_env.yaml").read_text())["env_vars"]
pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Cluster:
    """A head node, how to reach it, and a bucket that it reaches."""

    address: str
    bucket: str
    env: dict[str, str] = field(repr=False)

    def ray(self, *arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
        """Run ``ray job ...`` in the checkout, as a user of the cluster does."""
        return subprocess.run(
            ["ray", "job", arguments[0], "--address", self.address, *arguments[1:]],
            cwd=ROOT,
            env=self.env | changed,
            capture_output=True,
            text=True,
            timeout=250,
            check=False,
        )

    def submit(self, *arguments: str, **runtime_env: Any) -> subprocess.CompletedProcess[str]:
        more = ["--runtime-env-json", json.dumps(runtime_env)] if runtime_env else []
        return self.ray("submit", *more, *arguments)


@pytest.fixture(scope="module")
def head(s3: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A real head node in a process group of its own."""
    # Unix socket paths must be short, and the head must not stand in the checkout.
    scratch = Path(tempfile.mkdtemp(prefix="poise-"))
    elsewhere = tmp_path_factory.mktemp("head")
    env, bucket = _without_poise(elsewhere), new_bucket("code")
    try:
        # As in `ray_cluster.join`: a busy machine may need more than Ray's thirty seconds.
        for _ in range(3):
            process, address = _start_head(scratch, elsewhere, env)
            cluster = Cluster(address, bucket, env)
            if _answers(process, cluster):
                yield cluster
                return
            _end(process)
        pytest.fail((elsewhere / "head.log").read_text())
    finally:
        _end(process)
        shutil.rmtree(scratch, ignore_errors=True)


def _without_poise(folder: Path) -> dict[str, str]:
    """Make a Python that has all that this one has but Poise; its environment, with a token."""
    venv.create(folder / "python", symlinks=True)
    binaries = folder / "python" / "bin"
    packages = sysconfig.get_path("purelib", vars={"base": str(folder / "python")})
    # What lies in a folder that a .pth file names is found; the .pth files in there are not read,
    # by one of which Poise is installed here.
    Path(packages, "pins.pth").write_text(sysconfig.get_path("purelib"))
    for name, module in (("ray", "ray.scripts.scripts"), ("pip", "pip._internal.cli.main")):
        script = f"#!{binaries}/python\nfrom {module} import main\nraise SystemExit(main())\n"
        (binaries / name).write_text(script)
        (binaries / name).chmod(0o755)
    (folder / "token").write_text(secrets.token_hex(32))
    (folder / "token").chmod(0o600)
    env = environment(
        **ACCOUNT, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN_PATH=str(folder / "token"),
        # Ray has pip install a job's wheel with all that it depends on, which is there.
        PIP_NO_DEPS="1", PIP_NO_INDEX="1", PIP_DISABLE_PIP_VERSION_CHECK="1",
    )  # fmt: skip
    env["PATH"] = f"{binaries}{os.pathsep}{os.environ['PATH']}"
    find = "from importlib.util import find_spec as f; print(f('ray') is not None, f('poise'))"
    found = subprocess.run(
        ["python", "-c", find], env=env, cwd=folder, capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == ["True", "None"]
    return env


def _start_head(
    scratch: Path, cwd: Path, env: dict[str, str]
) -> tuple[subprocess.Popen[bytes], str]:
    ports = {name: free_port() for name in ("port", "dashboard-port", "ray-client-server-port")}
    agent = ("dashboard-agent-listen-port", "dashboard-agent-grpc-port", "runtime-env-agent-port")
    ports |= {name: free_port() for name in (*agent, "node-manager-port", "object-manager-port")}
    start = [
        "ray",
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
            start, cwd=cwd, env=env, stdout=log, stderr=log, start_new_session=True
        )
    return process, f"http://127.0.0.1:{ports['dashboard-port']}"


def _answers(process: subprocess.Popen[bytes], cluster: Cluster) -> bool:
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError, httpx.HTTPError):
            # With a token, that is what it says before it looks at who asks.
            there = httpx.get(f"{cluster.address}/api/version", timeout=5).status_code in (200, 401)
            # A node takes jobs a moment later than it answers.
            if there and cluster.submit("--", "true").returncode == 0:
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


def _uploaded(bucket: str, file: Path) -> str:
    boto3.client("s3").upload_file(str(file), bucket.removeprefix("s3://"), file.name)
    return f"{bucket}/{file.name}"


def test_whoever_has_no_token_is_told_so(head: Cluster) -> None:
    refused = head.ray("list", RAY_AUTH_MODE="disabled")
    assert refused.returncode != 0
    assert "token" in (refused.stdout + refused.stderr).lower()


def test_options_run_where_the_code_travels_from_the_checkout(
    head: Cluster, tmp_path: Path
) -> None:
    data, home = tmp_path / "raw", tmp_path / "home"
    for split, people in (("train", 2), ("test", 1)):
        write_smoothnet(data, TRACK, split, sequences(split, Size(people, 1, 24)))
    given = ["--home", str(home), "--data", str(data)]
    done = head.submit("--working-dir", ".", "--", "python", "jobs/ingest.py", *given)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 sequences, 72 frames, 51 windows" in done.stdout
    assert read_manifest(home / "lake", TRACK).pvd is not None


def test_a_script_runs_whose_code_is_an_archive_on_s3(head: Cluster, tmp_path: Path) -> None:
    """The short form has no room for options; it runs the demo plan."""
    archive = tmp_path / "poise.zip"
    tracked = ["git", "archive", "--prefix=poise/", "-o", str(archive), _what_is_here()]
    subprocess.run(tracked, cwd=ROOT, check=True)
    home = prepare(tmp_path)
    done = head.submit(
        "jobs/sweep.py",
        working_dir=_uploaded(head.bucket, archive),
        env_vars={**SHARED, "POISE_HOME": str(home)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SynSP++" in done.stdout
    tables = home / "sweeps" / "demo" / "tables"
    assert (tables / "plot.png").is_file()
    rows = json.loads((tables / "rows.json").read_text())
    assert {"input", "offset", "synspp"} <= {row["refiner"] for row in rows}
    assert set(run_statuses(f"sqlite:///{home}/mlflow.db", "demo").values()) == {"FINISHED"}


def _what_is_here() -> str:
    """What is in the checkout now, as git names it: a commit of nobody's, or the last."""
    stash = subprocess.run(
        ["git", "stash", "create"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return stash.stdout.strip() or "HEAD"


@pytest.mark.chaos
def test_a_job_of_a_wheel_is_stopped_and_goes_on_from_a_checkout(
    head: Cluster, tmp_path: Path
) -> None:
    """A wheel on S3 first; then nothing travels, and every node has the checkout."""
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "-w", str(tmp_path), str(ROOT)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("poise-*.whl")
    home, lake, sweeps = prepare(tmp_path), f"{head.bucket}/lake", f"{head.bucket}/sweeps"
    write_tiny_lake(lake)
    # Longer than the commands of Ray take to come up.
    plan = (home / "tiny.yaml").read_text().replace("steps_per_epoch: 2", "steps_per_epoch: 12")
    (home / "tiny.yaml").write_text(plan.replace("epochs: 40", "epochs: 80"))
    store = f"sqlite:///{home}/mlflow.db"
    given = ["--plan", str(home / "tiny.yaml"), "--lake", lake, "--storage", sweeps]
    modules = {"py_modules": [_uploaded(head.bucket, wheel)]}
    told = {**SHARED, "POISE_HOME": str(home)}
    told.pop("PYTHONPATH")
    begun = head.submit(
        "--no-wait", "--submission-id", "tiny-1", "--", "python", "-m", "poise", "sweep", *given,
        **modules, env_vars=told,
    )  # fmt: skip
    assert begun.returncode == 0, begun.stdout + begun.stderr
    sweep = SweepFolder(f"{sweeps}/tiny")
    deadline = time.monotonic() + 200
    while not (sweep.exists() and any(sweep.trial(k).history() for k in sweep.header()["trials"])):
        assert time.monotonic() < deadline, head.ray("logs", "tiny-1").stdout
        time.sleep(0.3)
    assert "stopped" in head.ray("stop", "tiny-1").stdout
    assert "the same command goes on from here" in head.ray("logs", "tiny-1").stdout
    assert "was stopped" in head.ray("status", "tiny-1").stdout
    left = run_statuses(store).values()
    assert "KILLED" in left
    assert "RUNNING" not in left
    done = head.submit(
        "--", str(ROOT / "jobs" / "sweep.py"), *given, env_vars={"POISE_HOME": str(home)}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "is champion" in done.stdout
    assert set(run_statuses(store).values()) == {"FINISHED"}
