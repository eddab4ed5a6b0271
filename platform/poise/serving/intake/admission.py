"""Who is let in: requests are refused before their bodies are read."""

import math
from collections.abc import Callable
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from poise.serving.intake.limits import CLIENT, refusal
from poise.serving.tokens.clients import Clients

#: What load balancers ask, who know no token, and pages, on which it is still to be given.
_OPEN: Final = ("/healthz", "/", "/docs")
_OPEN_BELOW: Final = "/static/"


class Admission:
    """ASGI middleware: 401 to whoever shows no token, 429 to whoever comes too often.

    Args:
        app: what comes after it; it finds the client in its scope, as `CLIENT`.
        clients_of: gives the clients: the application is made before its replica has any.
    """

    def __init__(self, app: ASGIApp, clients_of: Callable[[], Clients]) -> None:
        self._app, self._clients_of = app, clients_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, or refuse it."""
        path = scope.get("path", "")
        if scope["type"] == "http" and path not in _OPEN and not path.startswith(_OPEN_BELOW):
            given = [v.decode("latin-1") for k, v in scope["headers"] if k == b"authorization"]
            clients = self._clients_of()
            client = clients.who(given)
            if client is None:
                text = "show the service's token: Authorization: Bearer TOKEN"
                await refusal(401, text, {"WWW-Authenticate": "Bearer"})(scope, receive, send)
                return
            if wait_s := clients.wait_s(client):
                text, after = too_often(client.requests_per_s, wait_s)
                await refusal(429, text, {"Retry-After": after})(scope, receive, send)
                return
            scope[CLIENT] = client
        await self._app(scope, receive, send)


def too_often(most: float | None, wait_s: float) -> tuple[str, str]:
    """What a client is told that comes too often, and ``Retry-After``."""
    return f"more than {most:g} requests a second with this token", str(math.ceil(wait_s))
