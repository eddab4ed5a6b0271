"""Attacks on the service: small requests that once held it up. Neighbours and health go on."""

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import psutil
import pytest
from tests.support.serving import clip, save_untrained

from poise.serving.intake.connections import CONNECTIONS_EACH, HEAD_S
from poise.serving.intake.limits import BODIES_EACH
from poise.serving.running_service import running_service
from poise.serving.schema import MAX_BODY_BYTES, MAX_FRAMES
from poise.serving.service_args import ServiceArgs

pytestmark = pytest.mark.slow

JSON = {"Content-Type": "application/json"}
SHORT = json.dumps({"poses": clip(10).tolist()})
LONG = json.dumps({"poses": np.tile(clip(100).round(5), (MAX_FRAMES // 200, 1)).tolist()})
MIDDLING = json.dumps({"poses": np.tile(clip(100).round(5), (10, 1)).tolist()})
#: Requests that each replica has at a time.
PLACES = 16
#: Linux answers on all of 127.0.0.0/8: another address is another client.
NEIGHBOUR = "127.0.0.2"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, cluster: None) -> Iterator[str]:
    home = tmp_path_factory.mktemp("home")
    model = save_untrained(home / "untrained")
    args = ServiceArgs(model=model, home=str(home), replicas=2, cpus=0.5, max_queued=PLACES)
    with running_service(args, port=0) as running:
        yield running


def neighbour(url: str) -> httpx.Client:
    transport = httpx.HTTPTransport(local_address=NEIGHBOUR)
    return httpx.Client(base_url=url, transport=transport, timeout=60, headers=JSON)


def posted(url: str, body: str) -> httpx.Response:
    return httpx.post(f"{url}/v1/refine", content=body, headers=JSON, timeout=100)


def refined(url: str, body: str) -> int:
    with neighbour(url) as client:
        return client.post("/v1/refine", content=body).status_code


def meanwhile(url: str, attacks: list[Future[Any]]) -> int:
    """Requests of a neighbour, and for health, that are answered while attacks go on."""
    answered = 0
    with neighbour(url) as client:
        while not any(attack.done() for attack in attacks):
            assert client.get("/healthz").status_code == 200
            assert client.post("/v1/refine", content=SHORT).status_code == 200
            answered += 1
    return answered


def opened(url: str) -> socket.socket:
    place = urlsplit(url)
    assert place.hostname is not None
    connection = socket.create_connection((place.hostname, place.port or 0), timeout=60)
    connection.settimeout(60)
    return connection


def head(length: int) -> bytes:
    lines = ("POST /v1/refine HTTP/1.1", "Host: poise", "Content-Type: application/json")
    return "\r\n".join((*lines, f"Content-Length: {length}", "", "")).encode()


def answer_of(connection: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    parts = []
    with suppress(ConnectionResetError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def replicas() -> set[psutil.Process]:
    found = set()
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if any(part.startswith("ray::ServeReplica") for part in process.cmdline()):
                found.add(process)
    return found


BIG = {
    "a million unknown keys": "{" + ",".join(f'"k{n}":1' for n in range(1_000_000)) + "}",
    "16 MB of empty lists": '{"poses":[' + "[]," * (MAX_BODY_BYTES // 3 - 9) + "[]]}",
    "16 MB of lists in lists": '{"poses":' + "[" * (MAX_BODY_BYTES - 20),
    "one frame of 8 million numbers": '{"poses":[[' + "0," * (MAX_BODY_BYTES // 2 - 20) + "0]]}",
    "a known key two million times": "{" + '"fps":1,' * (MAX_BODY_BYTES // 8 - 9) + '"fps":1}',
}


@pytest.mark.parametrize("attack", BIG)
def test_large_bodies_are_refused_in_few_words(url: str, attack: str) -> None:
    with ThreadPoolExecutor(3) as pool:
        sent = [
            pool.submit(
                httpx.post, f"{url}/v1/refine", content=BIG[attack], headers=JSON, timeout=60
            )
            for _ in range(3)
        ]
        assert refined(url, SHORT) == 200
        for one in sent:
            answer = one.result()
            assert answer.status_code == 422
            assert len(answer.content) < 1000


def test_slow_bodies_are_given_up_and_held_nobody_up(url: str) -> None:
    def drip(connection: socket.socket) -> bytes:
        connection.sendall(head(1000))
        with suppress(OSError):
            while True:
                connection.sendall(b"{")
                connection.settimeout(0.5)
                with suppress(TimeoutError):
                    return connection.recv(65536)
        return b""

    with ExitStack() as open_, ThreadPoolExecutor(2 * BODIES_EACH) as pool:
        sockets = [open_.enter_context(opened(url)) for _ in range(2 * BODIES_EACH)]
        slow = [pool.submit(drip, one) for one in sockets]
        answered = meanwhile(url, slow[: BODIES_EACH // 2])
        assert answered > 3
        statuses = [one.result().split(b" ")[1] for one in slow]
    assert set(statuses) <= {b"408", b"429"}
    assert b"408" in statuses


def test_connections_that_say_nothing_are_few_and_end(url: str) -> None:
    with ExitStack() as open_:
        began = time.monotonic()
        silent = [open_.enter_context(opened(url)) for _ in range(CONNECTIONS_EACH + 20)]
        for number, one in enumerate(silent):
            with suppress(OSError):
                one.sendall(b"POST /v1/refine HTTP/1.1\r\nHost: " if number % 2 else b"P")
        assert refined(url, SHORT) == 200
        answers = [answer_of(one)[9:12] for one in reversed(silent)]
        # As long as a client's are not closed, others that it opens are.
        assert time.monotonic() - began < 4 * HEAD_S
    assert answers.count(b"408") <= CONNECTIONS_EACH
    assert set(answers) <= {b"408", b"429", b""}
    assert posted(url, SHORT).status_code == 200


def test_a_head_without_end_is_refused(url: str) -> None:
    with opened(url) as connection:
        with suppress(OSError):
            connection.sendall(b"GET / HTTP/1.1\r\nHost: poise\r\nX: " + b"x" * 10**7)
        assert answer_of(connection)[9:12] in (b"431", b"")  # or reset, for what was not read
    assert refined(url, SHORT) == 200


def test_connections_that_were_used_are_counted_until_they_end(url: str) -> None:
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Key": "x"}
    for _ in range(CONNECTIONS_EACH + 10):
        assert httpx.get(f"{url}/healthz", headers=upgrade, timeout=60).status_code == 200
    with httpx.Client(base_url=url, timeout=60) as client:
        assert [client.get("/healthz").status_code for _ in range(5)] == [200] * 5


def test_a_body_announced_too_large_is_answered_before_it_comes(url: str) -> None:
    with opened(url) as connection:
        connection.sendall(head(10**10) + b"{")
        assert answer_of(connection).startswith(b"HTTP/1.1 413")


def test_a_short_request_waits_for_no_long_ones(url: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        long = [pool.submit(refined, url, LONG) for _ in range(8)]
        answered = meanwhile(url, long)
        assert answered > 3
        assert wait(long, timeout=100).not_done == set()
        assert {one.result() for one in long} == {200}


def test_one_client_leaves_places_to_others(url: str) -> None:
    with ThreadPoolExecutor(3 * PLACES) as pool:
        greedy = [pool.submit(posted, url, MIDDLING) for _ in range(3 * PLACES)]
        assert refined(url, SHORT) == 200
        statuses = [one.result().status_code for one in greedy]
    assert set(statuses) == {200, 429}
    assert statuses.count(200) <= 2 * PLACES


def test_clients_that_go_away_are_worked_for_no_longer(url: str) -> None:
    def spent_s() -> float:
        return sum(process.cpu_times().user for process in replicas())

    before = spent_s()
    assert refined(url, LONG) == 200
    one_s, before = spent_s() - before, spent_s()
    with ExitStack() as open_:
        for _ in range(8):
            open_.enter_context(opened(url)).sendall(head(len(LONG)) + LONG.encode())
    time.sleep(8 * one_s)
    assert spent_s() - before < 5 * one_s


def test_everything_listens_on_loopback(url: str) -> None:
    found = []
    here = psutil.Process()
    for process in (here, *here.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            name = " ".join(process.cmdline()[:3])
            for one in process.net_connections("inet"):
                if one.status == psutil.CONN_LISTEN and (process == here or "ray" in name):
                    found.append((name, one.laddr.ip.removeprefix("::ffff:"), one.laddr.port))
    assert len(found) > 10
    assert urlsplit(url).port in {port for *_, port in found}
    assert [one for one in found if not ip_address(one[1]).is_loopback] == []


@dataclass
class Stream:
    """Requests one after another until it is stopped: their statuses, and when they came."""

    url: str
    statuses: list[int] = field(default_factory=list)
    at: list[float] = field(default_factory=lambda: [time.monotonic()])
    stopped: bool = False

    def run(self) -> None:
        with neighbour(self.url) as client:
            while not self.stopped:
                try:
                    self.statuses.append(client.post("/v1/refine", content=SHORT).status_code)
                except httpx.HTTPError:
                    self.statuses.append(0)
                if self.statuses[-1] == 200:
                    self.at.append(time.monotonic())

    @property
    def longest_gap(self) -> float:
        return float(np.diff(self.at).max())


@pytest.mark.chaos
def test_where_one_of_two_replicas_is_killed_the_other_answers_on(url: str) -> None:
    before = replicas()
    assert len(before) == 2
    streams = [Stream(url), Stream(url)]
    with ThreadPoolExecutor(len(streams)) as pool:
        runs = [pool.submit(stream.run) for stream in streams]
        try:
            time.sleep(2)
            killed = time.monotonic()
            before.pop().kill()
            while not replicas() - before and time.monotonic() < killed + 90:
                time.sleep(0.2)
            # A new process is there; it answers some time later.
            replaced_s = time.monotonic() - killed
            time.sleep(2)
        finally:
            for stream in streams:
                stream.stopped = True
        for run in runs:
            run.result(timeout=90)
    for stream in streams:
        # What was in flight, and what was sent before it was known.
        assert len([status for status in stream.statuses if status != 200]) <= 2
        assert stream.longest_gap < replaced_s
