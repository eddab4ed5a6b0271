"""Where streams come in: a WebSocket server of a replica, in a thread with a loop of its own.

Serve's own WebSockets are not used: its proxy and replica both keep what comes and what goes in
queues without an end, so that neither a flood nor a slow reader is ever felt, and a stream would
end with the time of a request. The proxy passes bytes on instead (`poise.serving.intake.passing`).
"""

import asyncio
import logging
import secrets
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from opentelemetry.trace import Span
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from poise.serving.intake.admission import too_often
from poise.serving.intake.passing import PATH, SEND_BYTES
from poise.serving.models.served_models import ServedModels
from poise.serving.streams.conversation import Conversation
from poise.serving.streams.counts import StreamCounts
from poise.serving.streams.opening import MOST_BYTES
from poise.serving.streams.sessions import Sessions
from poise.serving.tokens.clients import Client, Clients
from poise.serving.tokens.shown import shown_as_protocol
from poise.serving.tracing.spans import begin, current, told
from poise.serving.turns import Turns

#: What browsers ask for beside the token, which is no protocol.
PROTOCOL: Final = Subprotocol("poise")
#: How often what was counted is told.
_COUNTED_S: Final = 1.0
#: Messages of a connection that wait to be read.
_WAITING: Final = 4
#: A larger message is not read; one a little too large is, and told so.
_HARD_BYTES: Final = 4 * MOST_BYTES
_QUIET: Final = logging.getLogger("poise.serving.streams.websockets")
_QUIET.setLevel(logging.CRITICAL)


class StreamDoor:
    """A running server; streams of all of its connections share the network thread.

    Args:
        models: what refines them.
        network: the thread in which it does.
        host: address to listen at; a free port of it is taken.
        clients: who may come.
        most: streams at a time.
        idle_s: how long a client may say nothing.
        count: told every second what the streams did.
    """

    def __init__(
        self,
        models: ServedModels,
        network: Turns[Any],
        host: str = "127.0.0.1",
        clients: Clients | None = None,
        most: int = 256,
        idle_s: float = 60.0,
        count: Callable[[StreamCounts], None] = lambda _: None,
    ) -> None:
        self._models, self._network, self._host = models, network, host
        self._clients, self._most, self._idle_s = clients or Clients(), most, idle_s
        self._count = count
        self.key = secrets.token_hex(8)
        self.sessions: Sessions
        self._loop = asyncio.new_event_loop()
        self._ready: Future[int] = Future()
        self._server: Server
        self._here: WeakKeyDictionary[ServerConnection, Client] = WeakKeyDictionary()
        self._spans: WeakKeyDictionary[ServerConnection, Span] = WeakKeyDictionary()
        self._thread = threading.Thread(target=self._run, name="streams", daemon=True)
        self._thread.start()
        self.port = self._ready.result()

    @property
    def address(self) -> tuple[str, str, int, int]:
        """Its key in tokens, host and port, and how many streams there are."""
        return self.key, self._host, self.port, len(self.sessions)

    def close(self) -> None:
        """Close all connections, and stop."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._server.close)
            self._thread.join(10)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except OSError as error:
            self._ready.set_exception(error)

    async def _serve(self) -> None:
        self.sessions = Sessions(self._models, self._network, self._most, self.key)
        async with serve(
            self._hold,
            self._host,
            0,
            process_request=self._let_in,
            process_response=self._trace,
            select_subprotocol=lambda _, offered: PROTOCOL if PROTOCOL in offered else None,
            compression=None,
            max_size=_HARD_BYTES,
            max_queue=_WAITING,
            open_timeout=10,
            server_header=None,
            logger=_QUIET,
        ) as self._server:
            for one in self._server.sockets:  # connections inherit it
                one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
            self._ready.set_result(self._server.sockets[0].getsockname()[1])
            counting = asyncio.create_task(self._counting())
            await self._server.wait_closed()
            counting.cancel()
        await self.sessions.close()
        self._count(self.sessions.counted())

    async def _counting(self) -> None:
        while True:
            await asyncio.sleep(_COUNTED_S)
            self.sessions.look()
            self._count(self.sessions.counted())

    def _let_in(self, connection: ServerConnection, request: Request) -> Response | None:
        if request.path.partition("?")[0] != PATH.decode():
            return connection.respond(HTTPStatus.NOT_FOUND, f"streams are at {PATH.decode()}\n")
        origin, host = request.headers.get("Origin"), request.headers.get("Host")
        if origin is not None and urlsplit(origin).netloc != host:
            return connection.respond(HTTPStatus.FORBIDDEN, "pages of other sites may not come\n")
        given = request.headers.get_all("Authorization")
        offered = ",".join(request.headers.get_all("Sec-WebSocket-Protocol")).split(",")
        client = self._clients.who(given or shown_as_protocol(offered))
        if client is None:
            answer = connection.respond(HTTPStatus.UNAUTHORIZED, "a token is needed\n")
            answer.headers["WWW-Authenticate"] = "Bearer"
            return answer
        text, after = f"{client.streams} streams at a time with this token", "1"
        here = sum(one == client for one in self._here.values())
        if client.streams is None or here < client.streams:
            wait_s = self._clients.wait_s(client)
            if not wait_s:
                self._here[connection] = client
                return None
            text, after = too_often(client.requests_per_s, wait_s)
        answer = connection.respond(HTTPStatus.TOO_MANY_REQUESTS, f"{text}\n")
        answer.headers["Retry-After"] = after
        return answer

    def _trace(self, connection: ServerConnection, request: Request, response: Response) -> None:
        """Make the stream a span of its client's trace, and say which."""
        span = begin(request.headers.raw_items(), "WS /v1/stream")
        response.headers.update(told(span))
        self._spans[connection] = span

    async def _hold(self, connection: ServerConnection) -> None:
        people = self._here[connection].people
        try:
            with current(self._spans.pop(connection)):
                await Conversation(connection, self.sessions, self._idle_s, people).hold()
        finally:  # its client may open another
            del self._here[connection]
