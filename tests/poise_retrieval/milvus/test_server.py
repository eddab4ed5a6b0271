import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from tests.support.running_milvus import needs_package

import poise_retrieval
from poise_retrieval.errors import StoreUnavailableError
from poise_retrieval.milvus.server import EmbeddedMilvus
from poise_retrieval.milvus.standalone import StandaloneMilvus
from poise_retrieval.milvus.store import PoseStore

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("server")]
ROOT = Path(poise_retrieval.__file__).parents[1]

PARENT = """
    import sys, time
    from pathlib import Path
    from poise_retrieval.milvus.server import EmbeddedMilvus
    from poise_retrieval.milvus.standalone import StandaloneMilvus
    kind = StandaloneMilvus if sys.argv[2] == "server" else EmbeddedMilvus
    with kind(Path(sys.argv[1])) as server:
        print(server.uri, server.started_here, flush=True)
        sys.stdin.read()
"""


def _open_elsewhere(data_dir: Path, kind: str = "lite") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PARENT), str(data_dir), kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def _answer(process: subprocess.Popen[str]) -> tuple[str, bool]:
    assert process.stdout is not None
    uri, started = process.stdout.readline().split()
    return uri, started == "True"


def _end(process: subprocess.Popen[str]) -> None:
    process.communicate(timeout=30)


def _pid(data_dir: Path) -> int:
    return int(json.loads((data_dir / "server.json").read_text())["pid"])


def _gone(pid: int, within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.1)
    return False


def test_it_starts_answers_and_stops(data_dir: Path) -> None:
    with EmbeddedMilvus(data_dir) as server:
        assert server.started_here
        assert PoseStore(server.uri).list() == ()
        pid = _pid(data_dir)
        listening = psutil.Process(pid).net_connections()
        assert {c.laddr.ip.removeprefix("::ffff:") for c in listening if c.status == "LISTEN"} == {
            "127.0.0.1"
        }
    assert not psutil.pid_exists(pid)
    assert not (data_dir / "server.json").exists()
    with pytest.raises(StoreUnavailableError, match="not running"):
        _ = server.uri


def test_a_second_process_shares_it_and_does_not_stop_it(data_dir: Path) -> None:
    with EmbeddedMilvus(data_dir) as server:
        other = _open_elsewhere(data_dir)
        assert _answer(other) == (server.uri, False)
        _end(other)
        assert PoseStore(server.uri).list() == ()


def test_two_at_once_start_one(data_dir: Path) -> None:
    both = [_open_elsewhere(data_dir) for _ in range(2)]
    answers = [_answer(process) for process in both]
    assert answers[0][0] == answers[1][0]
    assert sorted(started for _, started in answers) == [False, True]
    for process in both:
        _end(process)


def test_threads_at_once_start_one(data_dir: Path) -> None:
    servers = [EmbeddedMilvus(data_dir) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        uris = {server.uri for server in pool.map(EmbeddedMilvus.__enter__, servers)}
    assert len(uris) == 1
    assert sum(server.started_here for server in servers) == 1
    for server in servers:
        server.__exit__(None, None, None)


@pytest.mark.chaos
def test_it_ends_with_a_killed_parent_and_the_folder_is_free(data_dir: Path) -> None:
    parent = _open_elsewhere(data_dir)
    _answer(parent)
    pid = _pid(data_dir)
    parent.kill()
    parent.wait(10)
    assert _gone(pid, within_s=10)
    with EmbeddedMilvus(data_dir) as server:
        assert server.started_here
        assert PoseStore(server.uri).list() == ()


@pytest.mark.chaos
def test_a_ctrl_c_reaches_only_the_parent(data_dir: Path) -> None:
    with EmbeddedMilvus(data_dir):
        pid = _pid(data_dir)
        assert os.getsid(pid) == pid


@pytest.mark.chaos
def test_a_killed_server_is_replaced(data_dir: Path) -> None:
    with EmbeddedMilvus(data_dir) as first:
        pid = _pid(data_dir)
        os.kill(pid, signal.SIGKILL)
        psutil.Process(pid).wait(10)
        with EmbeddedMilvus(data_dir) as second:
            assert second.started_here
            assert second.uri != first.uri
            assert PoseStore(second.uri).list() == ()
    assert not psutil.pid_exists(pid)


@pytest.mark.parametrize("kind", ["other process", "no process", "not json", "other fields"])
def test_a_stale_record_is_not_believed(data_dir: Path, kind: str) -> None:
    data_dir.mkdir()
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        port = stranger.getsockname()[1]
        pid = os.getpid() if kind == "other process" else 2**22 + 1
        record = json.dumps({"pid": pid, "port": port, "token": "0" * 32})
        text = {"not json": "{", "other fields": "[1]"}.get(kind, record)
        (data_dir / "server.json").write_text(text)
        with EmbeddedMilvus(data_dir) as server:
            assert server.started_here
            assert not server.uri.endswith(f":{port}")
            assert PoseStore(server.uri).list() == ()


def test_a_server_that_cannot_start_says_why(data_dir: Path) -> None:
    data_dir.mkdir()
    (data_dir / "rows").write_text("a file where the folder should be")
    with pytest.raises(StoreUnavailableError, match=r"ended with code 1(?s:.*)FileExistsError"):
        EmbeddedMilvus(data_dir).__enter__()


def test_a_server_that_is_too_slow_is_given_up(data_dir: Path) -> None:
    with pytest.raises(StoreUnavailableError, match="was not ready after 0 s"):
        EmbeddedMilvus(data_dir, timeout_s=0.01).__enter__()
    with EmbeddedMilvus(data_dir) as server:
        assert server.started_here


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for the standalone servers, whose first start unpacks them; each must free it."""
    needs_package()
    return tmp_path_factory.mktemp("standalone")


@pytest.mark.chaos
def test_a_standalone_ends_with_a_killed_parent(unpacked: Path) -> None:
    parent = _open_elsewhere(unpacked, "server")
    uri, _ = _answer(parent)
    [watcher] = psutil.Process(parent.pid).children()
    [milvus] = watcher.children()
    assert milvus.name() == "milvus"
    assert PoseStore(uri).list() == ()
    parent.kill()
    parent.wait(10)
    assert _gone(watcher.pid, within_s=20)
    assert _gone(milvus.pid, within_s=1)


@pytest.mark.chaos
def test_a_standalone_ends_with_its_killed_watcher(unpacked: Path) -> None:
    with StandaloneMilvus(unpacked) as server:
        [milvus] = psutil.Process(_pid(unpacked / "standalone")).children()
        os.kill(_pid(unpacked / "standalone"), signal.SIGKILL)
        assert _gone(milvus.pid, within_s=10)
        with pytest.raises(StoreUnavailableError):
            PoseStore(server.uri, timeout_s=2).list()


def test_a_standalone_that_cannot_be_had_is_said(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "milvus", None)
        with pytest.raises(StoreUnavailableError, match=r"pip install 'poise\[milvus\]'"):
            StandaloneMilvus(data_dir).__enter__()
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    with pytest.raises(StoreUnavailableError, match=r"Linux on x86_64, this is .* on aarch64"):
        StandaloneMilvus(data_dir).__enter__()
