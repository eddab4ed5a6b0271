"""What the service does when it cannot start, and when there is too much to do."""

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from ray import serve
from tests.support.mlflow_server import fresh_store
from tests.support.serving import clip, save_untrained
from tests.support.streams import Talk
from tests.support.tiny_lake import write_tiny_lake
from websockets.exceptions import InvalidStatus

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
    fresh_store(home)
    return home


def args(home: Path, **others: Any) -> ServiceArgs:
    return ServiceArgs(model=str(home / "untrained"), home=str(home), **others)


def refine(url: str, frames: int) -> httpx.Response:
    body = {"poses": clip(frames).tolist()}
    return httpx.post(f"{url}/v1/refine", json=body, timeout=120)


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


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3"])  # noqa: S104
def test_a_network_is_not_let_in_without_a_token(home: Path, host: str) -> None:
    with pytest.raises(ServiceError, match="POISE_TOKEN"), running_service(args(home), host=host):
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
    left = serve.status()
    assert (left.applications, left.proxies) == ({}, {})


def test_a_token_is_asked_for_by_requests_and_streams(home: Path) -> None:
    token = "-".join(["the", "token", "of", "the", "service"])
    shown = {"Authorization": f"Bearer {token}"}
    with running_service(args(home, token=token), port=0) as url:
        stream = url.replace("http", "ws", 1) + "/v1/stream"
        for headers, status in (({}, 401), ({"Authorization": "Bearer no"}, 401), (shown, 200)):
            for path in ("/v1/models", "/openapi.json"):
                assert httpx.get(url + path, headers=headers).status_code == status
        assert httpx.get(f"{url}/healthz").status_code == 200
        with pytest.raises(InvalidStatus, match="401"):
            Talk(stream)
        with Talk(stream, token, lag=3) as talk:
            talk.send(clip(20))
            assert len(talk.rest()[0]) == 20


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
