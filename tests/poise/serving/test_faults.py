"""What the service does when what it needs is away, and when there is too much to do."""

import contextlib
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from tests.support.serving import clip, publish, save_untrained
from tests.support.tiny_lake import write_tiny_lake

from poise.runtime.errors import CheckpointError, ModelError
from poise.serving.app import ServiceArgs
from poise.serving.errors import ServiceError
from poise.serving.running_service import running_service

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, cluster: None) -> Path:
    home = tmp_path_factory.mktemp("home")
    save_untrained(home / "untrained")
    write_tiny_lake(home / "lake")
    return home


def args(home: Path, **others: Any) -> ServiceArgs:
    return ServiceArgs(model=str(home / "untrained"), home=str(home), **others)


def refine(url: str, frames: int) -> httpx.Response:
    body = {"poses": clip(frames).tolist()}
    return httpx.post(f"{url}/v1/refine", json=body, timeout=120)


class Door:
    """A fixed address for a Milvus that comes later: refuses connections until it is opened."""

    def __init__(self) -> None:
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self.uri = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._ends = [self._listener]

    def open(self, uri: str) -> None:
        """Lead to the Milvus at ``uri`` from now on."""
        self._listener.listen()
        port = int(uri.rsplit(":", 1)[1])
        threading.Thread(target=self._accept, args=(port,), daemon=True).start()

    def close(self) -> None:
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self, port: int) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", port))
                self._ends += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)


def test_milvus_down_at_the_start_is_marked_and_taken_back(home: Path, lite_uri: str) -> None:
    door = Door()
    with (
        contextlib.closing(door),
        running_service(args(home, milvus_uri=door.uri), port=0) as url,
    ):
        publish(home / "lake", lite_uri)
        start = time.perf_counter()
        answer = refine(url, 30).json()
        assert time.perf_counter() - start < 5
        assert (answer["retrieval"], answer["distances"]) == ("unavailable", None)
        assert httpx.get(f"{url}/healthz").json()["retrieval"] == "unavailable"
        door.open(lite_uri)
        deadline = time.monotonic() + 90
        while refine(url, 30).json()["retrieval"] != "used":
            assert time.monotonic() < deadline
            time.sleep(0.5)


def test_overload_is_429_with_a_time_to_come_back(home: Path) -> None:
    with running_service(args(home, max_queued=1), port=0) as url:
        with ThreadPoolExecutor(60) as pool:
            responses = list(pool.map(lambda _: refine(url, 600), range(60)))
        turned_away = [r for r in responses if r.status_code == 429]
        answered = [r for r in responses if r.status_code == 200]
        assert len(turned_away) + len(answered) == 60
        assert turned_away
        assert answered
        assert all(int(r.headers["Retry-After"]) >= 1 for r in turned_away)
        assert refine(url, 8).status_code == 200


def test_a_taken_port_is_said_before_anything_starts(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(ServiceError, match=f"{port}.*another port"),
            running_service(args(home), port=port),
        ):
            pass


def test_a_model_that_leads_nowhere_is_said(home: Path) -> None:
    missing = ServiceArgs(model="poise-x@champion", home=str(home))
    with pytest.raises(ModelError, match="poise-x"), running_service(missing, port=0):
        pass


def test_a_broken_checkpoint_is_said_and_leaves_nothing_running(home: Path) -> None:
    folder = Path(save_untrained(home / "broken"))
    (folder / "weights.safetensors").write_bytes(b"\0" * 100)
    broken = ServiceArgs(model=str(folder), home=str(home))
    with (
        pytest.raises(CheckpointError, match=r"weights\.safetensors"),
        running_service(broken, port=0),
    ):
        pass
    with running_service(args(home), port=0) as url:
        assert refine(url, 8).status_code == 200


@pytest.mark.chaos
def test_a_killed_replica_costs_at_most_its_requests_in_flight(home: Path) -> None:
    clients, each = 4, 12
    with running_service(args(home), port=0) as url, ThreadPoolExecutor(clients) as pool:
        [replica] = [
            process
            for process in psutil.Process().children(recursive=True)
            if any(part.startswith("ray::ServeReplica") for part in process.cmdline())
        ]
        runs = [
            pool.submit(lambda: [refine(url, 60).status_code for _ in range(each)])
            for _ in range(clients)
        ]
        time.sleep(0.5)
        replica.kill()
        codes = [code for run in runs for code in run.result(timeout=200)]
    assert len(codes) == clients * each
    assert len([code for code in codes if code != 200]) <= clients
