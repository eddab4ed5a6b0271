"""Nothing that Poise starts asks for an address that is not this machine's own."""

import os
import signal
import subprocess
import sys
import urllib.request
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from tests.support.ports import free_port
from tests.support.sweep_job import environment
from tests.support.written_sweep import PLAN, SPECS, begun_sweep, finish

#: Python imports it as it starts, in workers and servers too. Ray asks for its own address by a
#: datagram socket to a far one, which sends nothing.
WATCH = """
import os, sys

def watch(event, args):
    if event == "socket.connect" and args[0].type & 1 and isinstance(args[1], tuple):
        said = args[1][0]
    elif event == "socket.getaddrinfo":
        said = args[0]
    else:
        return
    with open(os.environ["WATCHED"], "a") as file:
        file.write(f"{said}\\n")

sys.addaudithook(watch)
with open(os.environ["WATCHED"], "a") as file:
    file.write("localhost\\n")
"""
#: Ray's dashboard asks which cloud it is in, whatever it is told: of the machine itself, without
#: saying anything.
CLOUD = {"169.254.169.254", "metadata.google.internal"}
#: Where one of these is set, MLflow reports nothing anyway.
SILENT = ("CI", "GITHUB_ACTIONS", "PYTEST_CURRENT_TEST", "MLFLOW_DISABLE_TELEMETRY")
TINY = """
name: tiny
tracks: [synthetic/simulated/3D]
refiners: [input, offset]
"""


@pytest.fixture
def watched(tmp_path: Path) -> dict[str, str]:
    """The environment of a user who set nothing; a file takes the hosts that are asked for."""
    (tmp_path / "watch").mkdir()
    (tmp_path / "watch" / "sitecustomize.py").write_text(WATCH)
    roots = [str(Path(__file__).parents[3] / root) for root in ("platform", "models", "retrieval")]
    path = os.pathsep.join([str(tmp_path / "watch"), *roots])
    told = environment(PYTHONPATH=path, WATCHED=str(tmp_path / "hosts"))
    return {
        name: value
        for name, value in told.items()
        if name not in (*SILENT, "RAY_USAGE_STATS_ENABLED")
    }


def far(tmp_path: Path) -> set[str]:
    """The hosts that are not this machine."""
    own = {"None", "", "localhost", "0.0.0.0", "::", "::1", os.uname().nodename}  # noqa: S104
    own |= {one.address for found in psutil.net_if_addrs().values() for one in found}
    hosts = set((tmp_path / "hosts").read_text().splitlines())
    assert hosts, "nothing was watched"
    return {host for host in hosts - own - CLOUD if not host.startswith("127.")}


def poise(env: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "poise", *arguments],
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_sweep_calls_nobody(server: None, watched: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    given = ("--plan", str(tmp_path / "tiny.yaml"), "--home", str(tmp_path / "home"))
    assert "not up to date" not in poise(watched, "sweep", *given)
    assert not far(tmp_path)


@pytest.mark.slow
def test_publishing_and_looking_at_it_calls_nobody(
    server: None, watched: dict[str, str], tmp_path: Path
) -> None:
    sweep = begun_sweep(tmp_path)
    for spec in SPECS:
        finish(sweep, spec)
    (tmp_path / "plan.yaml").write_text(PLAN.model_dump_json())
    given = ("--plan", str(tmp_path / "plan.yaml"), "--home", str(tmp_path))
    assert "is champion" in poise(watched, "sweep", "--publish-only", *given)
    port = free_port()
    ui = subprocess.Popen(
        [sys.executable, "-m", "poise", "ui", "--home", str(tmp_path), "--port", str(port)],
        env=watched,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        assert b"<html" in page(f"http://127.0.0.1:{port}/", ui)
        # What the page asks for as it opens.
        page(f"http://127.0.0.1:{port}/ajax-api/3.0/mlflow/ui-telemetry", ui)
    finally:
        os.killpg(ui.pid, signal.SIGKILL)
        ui.communicate()
    assert not far(tmp_path)


def page(url: str, server: "subprocess.Popen[str]") -> bytes:
    while server.poll() is None:
        with suppress(OSError):
            return bytes(urllib.request.urlopen(url, timeout=20).read())  # noqa: S310
    raise AssertionError(server.stdout and server.stdout.read())
