"""How much of a service one body, one client and all of them together may take."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: A body has this long, and `BODY_GRACE_S` and its bytes at the slowest rate.
BODY_LONGEST_S = 120.0
BODY_GRACE_S = 5.0
BODY_SLOWEST = 16 * 1024
#: Bodies that are read at the same time: of one client, of all.
BODIES_EACH, BODIES = 16, 256
#: Bytes of all bodies, from their arrival to their answers.
BYTES_HELD = 512 * 1024 * 1024
RETRY_AFTER: Final = {"Retry-After": "1"}
#: Where a request's scope has the client, `poise.serving.tokens.clients.Client`.
CLIENT: Final = "poise.client"
_BUSY = "too much to do at the moment: come back in a second"


class NoPlaceError(Exception):
    """All places are taken, or all that one client may have."""


class Places:
    """Places that clients take and give back.

    Args:
        most: of all clients.
        most_each: of one client, so that it leaves some to others.
    """

    def __init__(self, most: int, most_each: int) -> None:
        self._most, self._most_each = most, most_each
        self._taken: Counter[str] = Counter()

    @contextmanager
    def taken(self, client: str) -> Iterator[None]:
        """Have a place inside the block.

        Raises:
            NoPlaceError: there is none.
        """
        if self._taken.total() >= self._most or self._taken[client] >= self._most_each:
            raise NoPlaceError(_BUSY)
        self._taken[client] += 1
        try:
            yield
        finally:
            self._taken[client] -= 1
            self._taken += Counter()  # forgets who has none


def client_of(scope: Scope) -> str:
    """Name whoever asks: an address, or of IPv6 the network of 2^64 that one customer has."""
    host, _ = scope.get("client") or ("", 0)
    try:
        address = ip_address(host)
    except ValueError:
        return str(host)
    if isinstance(address, IPv6Address) and not address.ipv4_mapped:
        return str(ip_network((int(address), 64), strict=False))
    return str(address)


class BodyLimit:
    """ASGI middleware: reads bodies whole, and refuses what is too large, too slow or too many.

    A body of more than ``limit`` bytes, or its client's fewer, is answered by 413, and not read
    where ``Content-Length`` says so; one that does not come at `BODY_SLOWEST` or is not there in
    `BODY_LONGEST_S` by 408; one more than the service reads or holds at a time by 429.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit
        self._held = 0
        self._places = Places(BODIES, BODIES_EACH)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, or refuse it."""
        headers = dict(scope.get("headers", ()))
        announced = _announced(headers)
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # Without these there is no body: such a request waits for nobody, and takes no place.
        bodiless = not announced and b"transfer-encoding" not in headers
        place = nullcontext() if bodiless else self._places.taken(client_of(scope))
        own = getattr(scope.get(CLIENT), "body_bytes", None)
        limit = min(self._limit, own or self._limit)
        try:
            if announced > limit:
                raise _RefusedError(413, _too_large(limit))
            with place:
                body = await self._read(receive, limit)
        except NoPlaceError as error:
            await refusal(429, str(error), RETRY_AFTER)(scope, receive, send)
        except _RefusedError as error:
            await refusal(error.status, str(error), {})(scope, receive, send)
        except ClientDisconnect:
            return
        else:
            size = len(body)
            given = [body]
            del body  # whoever takes it may drop it
            try:
                await self._app(scope, _replay(given, receive), send)
            finally:
                self._held -= size

    async def _read(self, receive: Receive, limit: int) -> bytes:
        """Read a body to its end; its bytes count as held from then on."""
        began, parts, size, more = time.monotonic(), list[bytes](), 0, True
        try:
            while more:
                allowed = min(BODY_GRACE_S + size / BODY_SLOWEST, BODY_LONGEST_S)
                message = await asyncio.wait_for(receive(), began + allowed - time.monotonic())
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                more = message.get("more_body", False)
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                self._held += len(parts[-1])
                if size > limit:
                    raise _RefusedError(413, _too_large(limit))
                if self._held > BYTES_HELD:
                    raise NoPlaceError(_BUSY)
        except BaseException as error:
            self._held -= size
            if isinstance(error, TimeoutError):
                raise _RefusedError(408, "the body comes too slowly") from None
            raise
        return b"".join(parts)


def _too_large(limit: int) -> str:
    return f"the body is larger than {limit} bytes: split the sequence"


def _announced(headers: Mapping[bytes, bytes]) -> int:
    """Bytes of a body, as far as a header says; of any number of digits, zeros before them too."""
    digits = headers.get(b"content-length", b"0")
    return int(digits.lstrip(b"0")[:20] or b"0") if digits.isdigit() else 0


class _RefusedError(Exception):
    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


def refusal(status: int, detail: str, headers: Mapping[str, str]) -> JSONResponse:
    """An answer that closes the connection: what is left of a body is not waited for."""
    return JSONResponse({"detail": detail}, status, {**headers, "Connection": "close"})


def _replay(given: list[bytes], receive: Receive) -> Receive:
    async def replay() -> Message:
        if given:
            return {"type": "http.request", "body": given.pop(), "more_body": False}
        return await receive()

    return replay
