"""Streams in Serve's HTTP proxy: their bytes are passed on to the door of a replica.

Serve's handle asks replicas where their doors are. A stream that a client comes back to names its
replica in the query (``?session=``); a new one goes to the less busy of two.
"""

import asyncio
import logging
import socket
from collections import OrderedDict
from typing import Any, Final
from urllib.parse import parse_qs

from ray import serve
from uvicorn.protocols.http.flow_control import FlowControl

logger = logging.getLogger(__name__)

#: The path of streams.
PATH: Final = b"/v1/stream"
#: The deployment that has doors, in its application.
DEPLOYMENT: Final = "refine"
APPLICATION: Final = "poise"
#: How long a replica may take to answer, as long as a new one takes to start.
_ANSWER_S: Final = 30.0
_TRIES: Final = 3
#: Replicas whose doors are remembered.
_KNOWN: Final = 64
#: Bytes that wait on the way to a replica before no more are read.
_HIGH: Final = 64 * 1024
_PIECE: Final = 64 * 1024
#: Bytes that the system keeps for who does not read; left to itself it keeps megabytes.
SEND_BYTES: Final = 64 * 1024
_AWAY: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n"
    b"Content-Length: 0\r\n\r\n"
)

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Doors:
    """Where the doors of replicas are, as far as this proxy has heard."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._known: OrderedDict[str, tuple[str, int]] = OrderedDict()

    async def open(self, key: str | None) -> Streams:
        """Connect to a replica's door: the one of a key, or where that is gone any.

        Raises:
            OSError: none can be reached.
        """
        for _ in range(_TRIES):
            if key is None or key not in self._known:
                key = await self._least_busy()
            try:
                return await asyncio.open_connection(*self._known[key])
            except OSError:
                del self._known[key]
        raise ConnectionError("no replica can be reached")

    async def _least_busy(self) -> str:
        if self._handle is None:
            self._handle = await asyncio.to_thread(
                serve.get_deployment_handle, DEPLOYMENT, APPLICATION
            )
        async with asyncio.timeout(_ANSWER_S):
            found = [await self._handle.door.remote() for _ in range(2)]
        for key, host, port, _ in found:
            self._known[key] = (host, port)
            self._known.move_to_end(key)
        while len(self._known) > _KNOWN:
            self._known.popitem(last=False)
        key, *_ = min(found, key=lambda one: one[3])
        return str(key)


_DOORS = Doors()


class Passing:
    """A client's connection whose bytes go to a replica, and the replica's to the client.

    Neither is read faster than the other takes.

    Args:
        transport: the client's.
        flow: what says when the client takes no more.
        url: of the client's request.
        head: the request, which the replica is to see.
    """

    def __init__(
        self, transport: asyncio.Transport, flow: FlowControl, url: bytes, head: bytes
    ) -> None:
        self._transport, self._flow = transport, flow
        self._writer: asyncio.StreamWriter | None = None
        transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES
        )
        self._flow.pause_reading()
        self._going = asyncio.ensure_future(self._carry(head, key_of(url)))
        self._resuming: asyncio.Future[None] | None = None

    def feed(self, data: bytes) -> None:
        """Pass on what came from the client."""
        if self._writer is None:
            return
        self._writer.write(data)
        if self._writer.transport.get_write_buffer_size() > _HIGH:
            self._flow.pause_reading()
            self._resuming = asyncio.ensure_future(self._resume(self._writer))

    def end(self) -> None:
        """Close the replica's side: the client is gone."""
        self._going.cancel()

    async def _resume(self, writer: asyncio.StreamWriter) -> None:
        try:
            await writer.drain()
        except OSError:
            self._transport.close()
        else:
            self._flow.resume_reading()

    async def _carry(self, head: bytes, key: str | None) -> None:
        try:
            reader, self._writer = await _DOORS.open(key)
        except Exception as error:  # whatever it is, the client may come back
            logger.warning("No replica takes a stream: %s", error)
            self._transport.write(_AWAY)
            self._transport.close()
            return
        try:
            self._writer.write(head)
            self._flow.resume_reading()
            while data := await reader.read(_PIECE):
                self._transport.write(data)
                await self._flow.drain()
        except OSError:
            logger.debug("A replica went away")
        finally:
            self._writer.close()
            self._transport.close()


def key_of(url: bytes) -> str | None:
    """Which replica a stream was on that a request names; None where it names none."""
    query = url.partition(b"?")[2].decode("latin-1")
    session = parse_qs(query, max_num_fields=8).get("session", [""])[0] if len(query) < 500 else ""
    return session.partition(".")[0] or None
