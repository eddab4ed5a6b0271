"""Starting Ray: a start that takes too long is tried again, and leaves nothing behind."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray

from poise.runtime.ray_cluster.join import connect, start
from poise.runtime.ray_cluster.own import keep_token

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


class Starts:
    """Stands in for ``ray.init``: leaves a process behind and gives up, some times in a row."""

    def __init__(self, failures: int, message: str) -> None:
        self.failures = failures
        self.message = message
        self.left_behind: list[psutil.Process] = []

    def __call__(self, **_: Any) -> None:
        if len(self.left_behind) < self.failures:
            self.left_behind.append(psutil.Process(subprocess.Popen(SLEEP).pid))
            raise Exception(self.message)  # as Ray does

    def survivors(self) -> list[psutil.Process]:
        return [process for process in self.left_behind if process.is_running()]


def test_a_start_out_of_time_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    starts = Starts(2, "The current node timed out during startup.")
    monkeypatch.setattr(ray, "init", starts)
    start(num_cpus=2)
    assert len(starts.left_behind) == 2
    assert starts.survivors() == []


def test_the_third_failure_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    starts = Starts(3, "The current node timed out during startup.")
    monkeypatch.setattr(ray, "init", starts)
    with pytest.raises(Exception, match="timed out"):
        start()
    assert starts.survivors() == []


def test_any_other_failure_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    starts = Starts(1, "no space left")
    monkeypatch.setattr(ray, "init", starts)
    with pytest.raises(Exception, match="no space"):
        start()
    assert starts.survivors() == []


def test_a_cluster_of_somebody_else_is_not_joined_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[dict[str, Any]] = []

    def stop(**options: Any) -> None:
        given.append(options)
        raise KeyboardInterrupt

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", stop)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(KeyboardInterrupt), connect(cpus=1):
        pass
    assert given[0]["address"] == "local"


def test_the_token_of_own_clusters_is_nobody_elses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    token = tmp_path / ".ray" / "auth_token"
    keep_token()
    made = token.read_text()
    assert len(made) == 64
    token.chmod(0o644)  # as Ray leaves one
    keep_token()
    assert (token.read_text(), token.stat().st_mode & 0o777) == (made, 0o600)


def test_whoever_keeps_tokens_elsewhere_gets_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in (("RAY_AUTH_MODE", "disabled"), ("RAY_AUTH_TOKEN", "0" * 64)):
        with monkeypatch.context() as patch:
            patch.setenv("RAY_AUTH_MODE", "token")
            patch.setenv(name, value)
            keep_token()
    assert list(tmp_path.iterdir()) == []


IN_RINGS = """
import gc, threading, time
import ray
from poise.runtime.ray_cluster.join import connect
rings = []
def free_some():
    while rings:
        del rings[-5:]  # only the collector frees what lies in a ring
        time.sleep(1e-4)
        [[] for _ in range(300)]
with connect(cpus=1):
    gc.disable()
    for _ in range(30_000):
        ring = [ray.put(0)]
        ring.append(ring)
        rings.append(ring)
    gc.enable()
    gc.set_threshold(100, 2, 2)
    threading.Thread(target=free_some, daemon=True).start()
print("well")
"""


@pytest.mark.slow
def test_references_that_another_thread_frees_meanwhile_do_not_end_the_process(
    server: None,
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IN_RINGS], capture_output=True, text=True, timeout=200, check=False
    )
    assert (done.returncode, done.stdout) == (0, "well\n"), done.stderr


def test_workers_run_at_the_priority_of_whoever_starts_them(cluster: None) -> None:
    asked = ray.remote(lambda: os.nice(0)).remote()
    assert ray.get(asked) == os.nice(0)
