"""Bodies within the size limit and beyond it."""

import asyncio

from starlette.types import Message, Receive, Scope, Send

from poise.serving.limits import BodyLimit


async def _consume(scope: Scope, receive: Receive, send: Send) -> None:
    message = await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": message["body"]})


def _answer(chunks: list[bytes], headers: list[tuple[bytes, bytes]]) -> tuple[int, bytes, int]:
    """Status, body, and how many chunks were taken off the wire."""
    sent: list[Message] = []
    taken = 0

    async def receive() -> Message:
        nonlocal taken
        taken += 1
        more = taken < len(chunks)
        return {"type": "http.request", "body": chunks[taken - 1], "more_body": more}

    async def send(message: Message) -> None:
        sent.append(message)

    limited = BodyLimit(_consume, limit=10)
    asyncio.run(limited({"type": "http", "headers": headers}, receive, send))
    return sent[0]["status"], sent[1]["body"], taken


def test_a_body_within_the_limit_arrives_whole() -> None:
    assert _answer([b"01234", b"56789"], []) == (200, b"0123456789", 2)


def test_an_announced_large_body_is_not_even_read() -> None:
    status, _, taken = _answer([b"x"], [(b"content-length", b"11")])
    assert (status, taken) == (413, 0)


def test_an_unannounced_large_body_is_read_to_the_limit_and_no_further() -> None:
    status, _, taken = _answer([b"012345", b"6789a", b"b"], [])
    assert (status, taken) == (413, 2)
