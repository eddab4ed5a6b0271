"""What the service does when it cannot start, and when there is too much to do."""

import asyncio
import hashlib
import json
import socket
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
from benchmarks.fuzz_api import fuzz
from ray import serve
from tests.support.mlflow_server import fresh_store
from tests.support.serving import clip, save_untrained
from tests.support.streams import Talk
from tests.support.tiny_lake import write_tiny_lake
from websockets.exceptions import InvalidStatus

from poise.client import AsyncClient, Client
from poise.client.errors import ClientError
from poise.client.playing import sample_path
from poise.client.talking import RefinedPose
from poise.motion.files import read
from poise.refining.options import Options
from poise.refining.refine import refine as refined
from poise.runtime.errors import CheckpointError, ModelError
from poise.serving.errors import ServiceError
from poise.serving.running_service import running_service
from poise.serving.service_args import ServiceArgs

pytestmark = pytest.mark.slow
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


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
    few = "-".join(["one", "of", "several", "tokens"])
    tokens = home / "tokens.toml"
    tokens.write_text(
        f"[few]\nsha256 = '{hashlib.sha256(few.encode()).hexdigest()}'\n"
        "requests_per_s = 0.1\nframes = 10\n"
    )
    with running_service(args(home, token=token, tokens=str(tokens)), port=0) as url:
        body = {"poses": clip(11).tolist()}
        own = {"Authorization": f"Bearer {few}"}
        refused, early = (
            httpx.post(f"{url}/v1/refine", json=body, headers=own, timeout=60) for _ in range(2)
        )
        assert (refused.status_code, refused.json()["detail"][0]["field"]) == (422, "poses")
        assert early.status_code == 429
        assert 1 <= int(early.headers["Retry-After"]) <= 10
        stream = url.replace("http", "ws", 1) + "/v1/stream"
        for headers, status in (({}, 401), ({"Authorization": "Bearer no"}, 401), (shown, 200)):
            for path in ("/v1/models", "/openapi.json"):
                answer = httpx.get(url + path, headers={**headers, "traceparent": PARENT})
                assert answer.status_code == status
                assert answer.headers["traceparent"].split("-")[1] == PARENT.split("-")[1]
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


def processes(kind: str) -> list[psutil.Process]:
    """Serve's processes that this one started."""
    return [
        process
        for process in psutil.Process().children(recursive=True)
        if any(part.startswith(f"ray::{kind}") for part in process.cmdline())
    ]


def memory() -> int:
    """Bytes that the proxy and all replicas have."""
    there = processes("ServeReplica") + processes("ProxyActor")
    assert len(there) == 3
    return sum(process.memory_info().rss for process in there)


class TestTwoReplicas:
    """Crowds that say nothing, and a replica that is killed."""

    @pytest.fixture(scope="class")
    def url(self, home: Path) -> Iterator[str]:
        with running_service(args(home, replicas=2), port=0) as url:
            yield url

    def test_a_thousand_idle_connections_harm_nobody(self, url: str) -> None:
        port = httpx.URL(url).port
        assert port is not None
        somebody_else = httpx.HTTPTransport(local_address="127.0.0.2")
        with ExitStack() as stack, httpx.Client(transport=somebody_else, timeout=60) as neighbour:
            body = {"poses": clip(8).tolist()}
            stream = stack.enter_context(Client(url).stream(lag=0))
            assert neighbour.post(f"{url}/v1/refine", json=body).status_code == 200
            before = memory()
            for _ in range(1000):
                stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            assert neighbour.post(f"{url}/v1/refine", json=body).status_code == 200
            refined = [one for pose_C in clip(30) for one in stream.push(pose_C)]
            assert len(refined + stream.finish()) == 30
            assert memory() - before < 50e6

    def test_streams_leave_nothing_behind(self, url: str) -> None:
        stream = url.replace("http", "ws", 1) + "/v1/stream"
        before = 0
        for turn in range(4):
            talks = [Talk(stream, lag=0) for _ in range(60)]
            for talk in talks:
                talk.send(clip(2))
            for talk in talks:  # half say so, half are gone
                talk.rest() if turn % 2 else talk.connection.socket.close()
            if turn == 1:
                before = memory()
        # 120 streams more, half of which are kept for a while: not 200 kB each.
        assert memory() - before < 24e6

    def test_a_file_comes_back_as_the_command_writes_it(self, url: str, tmp_path: Path) -> None:
        expected = refined(read(sample_path()), Options(refiner="median")).after
        for answer in (
            Client(url).refine_file(sample_path(), refiner="median", to="csv"),
            asyncio.run(AsyncClient(url).refine_file(sample_path(), refiner="median", to="csv")),
        ):
            assert answer.name == "sample.poise.csv"
            after = read(answer.write(tmp_path))
            assert after.joints == expected.joints
            np.testing.assert_allclose(after.poses_FPJD, expected.poses_FPJD, atol=1e-5)

    def test_a_folder_is_one_recording_and_json_says_more(self, url: str, tmp_path: Path) -> None:
        folder = tmp_path / "walk"
        folder.mkdir()
        for frame in range(20):
            points = [400.0 + frame, 300.0, 0.9] * 25
            content = json.dumps({"version": 1.3, "people": [{"pose_keypoints_2d": points}]})
            (folder / f"walk_{frame:012d}_keypoints.json").write_text(content)
        answer = Client(url).refine_file(folder, refiner="median", accept="application/json")
        said = json.loads(answer.content)
        assert (answer.name, said["frames"], said["dims"]) == ("walk.poise.json", 20, 2)

    @pytest.mark.parametrize(
        ("file", "options", "code", "said"),
        [
            ("sample", {"to": "docx"}, 422, "to: there is none"),
            ("sample", {"cutof": 3}, 422, "cutof"),
            ("empty", {}, None, "holds no files"),
            ("missing.trc", {}, None, "cannot be read"),
        ],
    )
    def test_what_is_wrong_with_a_file_is_said_at_once(
        self, url: str, tmp_path: Path, file: str, options: Any, code: int | None, said: str
    ) -> None:
        (tmp_path / "empty").mkdir()
        path = sample_path() if file == "sample" else tmp_path / file
        with pytest.raises(ClientError, match=said) as refused:
            Client(url).refine_file(path, **options)
        assert refused.value.code == code

    def test_answers_are_those_that_are_described(self, url: str) -> None:
        found = fuzz(url, examples=20)
        assert {name: told.wrong for name, told in found.items() if told.wrong} == {}
        assert found["POST /v1/refine"].statuses[422]

    @pytest.mark.chaos
    def test_nobody_who_asks_by_the_client_sees_a_replica_die(self, url: str) -> None:
        def ask(number: int) -> tuple[int, int]:
            client = Client(url)
            found = len(client.refine(clip(60, number)).poses)
            file = client.refine_file(sample_path(), refiner="median", accept="application/json")
            return found, json.loads(file.content)["frames"]

        with ThreadPoolExecutor(6) as pool:
            asked = [pool.submit(ask, number) for number in range(24)]
            wait(asked, return_when=FIRST_COMPLETED)
            processes("ServeReplica")[0].kill()
            assert [one.result(timeout=200) for one in asked] == [(60, 100)] * 24

    @pytest.mark.chaos
    def test_streams_go_on_where_their_replica_is_killed(self, url: str) -> None:
        clips = [clip(60, seed) for seed in range(12)]  # all on one replica in a million runs once
        with ExitStack() as stack:
            streams = [stack.enter_context(Client(url).stream(lag=3)) for _ in clips]
            begun = [stream.opened["session"] for stream in streams]
            refined: list[list[RefinedPose]] = [[] for _ in clips]
            for number in range(60):
                if number == 20:
                    processes("ServeReplica")[0].kill()
                for stream, detected_FC, found in zip(streams, clips, refined, strict=True):
                    found += stream.push(detected_FC[number])
            for stream, found in zip(streams, refined, strict=True):
                found += stream.finish()
                assert stream.lost == 0
                assert [one.number for one in found] == [*range(60)]
                assert np.isfinite([one.pose_JD for one in found]).all()
            assert [stream.opened["session"] for stream in streams] != begun
