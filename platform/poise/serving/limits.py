"""A size limit on request bodies, checked before anything is parsed."""

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from poise.runtime.text import encoding


def as_utf8(body: bytes) -> bytes:
    """Return text without a byte order mark, as UTF-8; anything else as it is."""
    try:
        name = encoding(body)
        return body if name == "utf-8" else body.decode(name).encode()
    except UnicodeDecodeError:
        return body


class BodyLimit:
    """ASGI middleware: answer 413 to a body of more than ``limit`` bytes.

    A body whose ``Content-Length`` says so is not read at all; any other is read up to the limit.
    What is passed on is UTF-8 without a byte order mark, whatever Unicode the client writes.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > self._limit:
            await self._refuse(scope, receive, send)
            return
        try:
            body = await self._read(receive)
        except ClientDisconnect:
            return
        if body is None:
            await self._refuse(scope, receive, send)
            return
        given = iter([{**body, "body": as_utf8(body["body"])}])

        async def replay() -> Message:
            message: Message | None = next(given, None)
            return await receive() if message is None else message

        await self._app(scope, replay, send)

    async def _read(self, receive: Receive) -> Message | None:
        """The whole body as one message; None where it is too large."""
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self._limit:
                return None
            if not message.get("more_body", False):
                return {"type": "http.request", "body": b"".join(parts), "more_body": False}

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        detail = f"the body is larger than {self._limit} bytes: split the sequence"
        await JSONResponse({"detail": detail}, status_code=413)(scope, receive, send)
