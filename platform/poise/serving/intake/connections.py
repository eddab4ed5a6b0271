"""Connections of Serve's HTTP proxy: how many there may be, and how long one may say nothing.

Serve's proxy is uvicorn, which has no such limits. Serve calls `limit_connections` in it before it
listens, where the proxy's environment says so.
"""

import asyncio
from collections import Counter
from typing import Any, ClassVar

import uvicorn.config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from poise.serving.intake.limits import client_of
from poise.serving.intake.passing import PATH, Passing

#: The variable, and what it is to say.
CALLBACK = "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"
LIMIT_CONNECTIONS = f"{__name__}:limit_connections"
NODE_ROUTING = "RAY_SERVE_PROXY_PREFER_LOCAL_NODE_ROUTING"
ZONE_ROUTING = "RAY_SERVE_PROXY_PREFER_LOCAL_AZ_ROUTING"
#: The environment of proxies. Serve's would ask the replicas of their own node alone, as long as
#: those take requests (`poise.serving.app.MOST_REQUESTS` each), and those of other nodes idle.
#: A proxy that comes up slowly, on a busy node, is waited for: three times so many seconds.
PROXY_ENV = {
    CALLBACK: LIMIT_CONNECTIONS,
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "30",
    NODE_ROUTING: "0",
    ZONE_ROUTING: "0",
}
#: Connections of one client, and of all; a process may have few more files open.
CONNECTIONS_EACH, CONNECTIONS = 128, 512
#: How long a connection may take for the head of a request, and how long that may be.
HEAD_S = 10.0
HEAD_BYTES = 64 * 1024

_ANSWER = b"HTTP/1.1 %b\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


def limit_connections() -> list[Any]:
    """Let uvicorn take `LimitedConnection`; no middlewares, which Serve asks for."""
    uvicorn.config.HTTP_PROTOCOLS["auto"] = f"{__name__}:{LimitedConnection.__name__}"
    return []


class LimitedConnection(HttpToolsProtocol):
    """A connection that is closed where there are too many, or no request comes through it."""

    _open: ClassVar[Counter[str]] = Counter()
    _name: str | None = None
    _head_bytes = 0
    _deadline: asyncio.TimerHandle | None = None
    _passing: Passing | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, or close it."""
        super().connection_made(transport)
        name = client_of({"client": self.client})
        if self._open[name] >= CONNECTIONS_EACH or self._open.total() >= CONNECTIONS:
            self._close(b"429 Too Many Requests")
            return
        self._name = name
        self._open[name] += 1
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection."""
        super().connection_lost(exc)
        self._stop_waiting()
        if self._passing is not None:
            self._passing.end()
        if self._name is not None:
            self._open[self._name] -= 1
            if not self._open[self._name]:
                del self._open[self._name]

    def data_received(self, data: bytes) -> None:
        """Parse what came, or pass it on; close where the head of a request does not end."""
        if self._passing is not None:
            self._passing.feed(data)
            return
        super().data_received(data)
        if self._deadline is None:
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_BYTES:
            self._close(b"431 Request Header Fields Too Large")

    def on_message_begin(self) -> None:
        """Await the head of a request."""
        super().on_message_begin()
        if self._deadline is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        """Begin with a request."""
        self._stop_waiting()
        super().on_headers_complete()

    def handle_websocket_upgrade(self) -> None:
        """Pass a stream on to a replica; it stays a connection of this kind, and counts as one."""
        head = [b"GET ", self.url, b" HTTP/1.1\r\n"]
        for name, value in self.headers:
            head += [name, b": ", value, b"\r\n"]
        self._passing = Passing(self.transport, self.flow, self.url, b"".join([*head, b"\r\n"]))

    def _should_upgrade_to_ws(self) -> bool:
        return self.url.partition(b"?")[0] == PATH

    def _await_head(self) -> None:
        self._head_bytes = 0
        self._deadline = self.loop.call_later(HEAD_S, self._close, b"408 Request Timeout")

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _close(self, status: bytes) -> None:
        self._stop_waiting()
        if not self.transport.is_closing():
            self.transport.write(_ANSWER % status)
            self.transport.close()
