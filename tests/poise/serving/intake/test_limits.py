"""Bodies within the limits of size, time and number, and beyond them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from poise.serving.intake import limits
from poise.serving.intake.limits import BodyLimit, NoPlaceError, Places, client_of

Wait = Callable[[], Awaitable[None]]
CHUNKED = [(b"transfer-encoding", b"chunked")]


async def _consume(scope: Scope, receive: Receive, send: Send) -> None:
    message = await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": message["body"]})


class Client:
    """Sends a body in chunks, and waits before each but the first."""

    def __init__(self, chunks: list[bytes], wait: Wait, headers: Any = CHUNKED) -> None:
        self.chunks, self.wait = chunks, wait
        self.scope = {"type": "http", "headers": headers, "client": ("192.0.2.7", 1)}
        self.taken = 0
        self.sent: list[Message] = []

    async def receive(self) -> Message:
        if self.taken:
            await self.wait()
        self.taken += 1
        more = self.taken < len(self.chunks)
        return {"type": "http.request", "body": self.chunks[self.taken - 1], "more_body": more}

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    async def through(self, limited: BodyLimit) -> int:
        await limited(self.scope, self.receive, self.send)
        return int(self.sent[0]["status"])

    @property
    def closes(self) -> bool:
        return (b"connection", b"close") in self.sent[0]["headers"]


async def at_once() -> None:
    return


async def slowly() -> None:
    await asyncio.sleep(0.05)


async def never() -> None:
    await asyncio.Event().wait()


def answered(client: Client) -> int:
    return asyncio.run(client.through(BodyLimit(_consume, limit=10)))


def test_a_body_within_the_limit_arrives_whole() -> None:
    client = Client([b"01234", b"56789"], at_once)
    assert (answered(client), client.taken) == (200, 2)
    assert client.sent[1]["body"] == b"0123456789"


@pytest.mark.parametrize("length", [b"11", b"0" * 5000 + b"11", b"9" * 5000])
def test_an_announced_large_body_is_not_even_read(length: bytes) -> None:
    client = Client([b"x"], at_once, [(b"content-length", length)])
    assert (answered(client), client.taken, client.closes) == (413, 0, True)


def test_an_unannounced_large_body_is_read_to_the_limit_and_no_further() -> None:
    client = Client([b"012345", b"6789a", b"b"], at_once)
    assert (answered(client), client.taken, client.closes) == (413, 2, True)


@pytest.mark.parametrize("wait", [slowly, never])
def test_a_body_that_comes_too_slowly_is_given_up(
    wait: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BODY_GRACE_S", 0.2)
    monkeypatch.setattr(limits, "BODY_SLOWEST", 1000)
    client = Client([b""] * 1000, wait)
    assert (answered(client), client.closes) == (408, True)
    assert client.taken < 10


def test_a_body_that_comes_fast_enough_may_take_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BODY_GRACE_S", 0.1)
    monkeypatch.setattr(limits, "BODY_SLOWEST", 1)
    assert answered(Client([b"0"] * 6, slowly)) == 200
    monkeypatch.setattr(limits, "BODY_LONGEST_S", 0.1)
    assert answered(Client([b"0"] * 6, slowly)) == 408


def test_slow_bodies_of_one_client_keep_out_neither_others_nor_requests_without_one() -> None:
    async def attacked() -> list[int]:
        limited = BodyLimit(_consume, limit=10)
        slow = [Client([b"0"] * 2, never) for _ in range(limits.BODIES_EACH)]
        tasks = [asyncio.create_task(one.through(limited)) for one in slow]
        await asyncio.sleep(0)
        same, bodiless, other = (Client([b""], at_once, headers) for headers in ([], [], CHUNKED))
        same.scope["headers"] = CHUNKED
        other.scope["client"] = ("192.0.2.8", 1)
        statuses = [await one.through(limited) for one in (same, bodiless, other)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return [*statuses, await Client([b""], at_once).through(limited)]

    assert asyncio.run(attacked()) == [429, 200, 200, 200]


def test_no_more_bytes_are_held_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BYTES_HELD", 15)

    async def filled() -> list[int]:
        limited = BodyLimit(_consume, limit=10)
        first = Client([b"0" * 10, b""], never)
        task = asyncio.create_task(first.through(limited))
        await asyncio.sleep(0)
        refused = await Client([b"0" * 10], at_once).through(limited)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return [refused, await Client([b"0" * 10], at_once).through(limited)]

    assert asyncio.run(filled()) == [429, 200]


def test_one_client_leaves_places_to_others() -> None:
    places = Places(most=3, most_each=2)
    with places.taken("a"), places.taken("a"):
        with pytest.raises(NoPlaceError), places.taken("a"):
            pass
        with places.taken("b"), pytest.raises(NoPlaceError), places.taken("c"):
            pass
    with places.taken("c"), places.taken("a"):
        pass


def test_a_client_is_an_address_or_the_network_of_one() -> None:
    def named(host: str) -> str:
        return client_of({"client": (host, 1234)})

    assert named("192.0.2.7") != named("192.0.2.8")
    assert named("2001:db8::1") == named("2001:db8::2:3") != named("2001:db8:0:1::1")
    assert named("::ffff:192.0.2.7") != named("::ffff:192.0.2.8")
    assert client_of({"client": None}) == client_of({})
