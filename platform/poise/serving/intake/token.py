"""The token that clients must show, where the service has one."""

import base64
import hmac
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from poise.serving.intake.limits import refusal

#: What load balancers ask, who know no token, and pages, on which it is still to be given.
_OPEN: Final = ("/healthz", "/", "/docs")
_OPEN_BELOW: Final = "/static/"
_SCHEME: Final = "bearer "


def shows(headers: Sequence[str], token: str | None) -> bool:
    """Say whether ``Authorization`` headers show the token.

    How long that takes says nothing of the token. Where there is none, everybody may come.
    """
    if token is None:
        return True
    bearer = len(headers) == 1 and headers[0].lower().startswith(_SCHEME)
    shown = headers[0][len(_SCHEME) :].strip() if bearer else ""
    return hmac.compare_digest(shown.encode(errors="replace"), token.encode())


def shown_as_protocol(offered: Sequence[str]) -> list[str]:
    """``Authorization`` as a browser's WebSocket can send it: a protocol ``bearer.TOKEN``.

    The token is in base64url without padding; protocols have few letters.
    """
    found = []
    for name in offered:
        scheme, dot, text = name.strip().partition(".")
        if dot and scheme.lower() == _SCHEME.strip():
            with suppress(ValueError):
                token = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
                found.append(f"{_SCHEME}{token.decode()}")
    return found


class TokenCheck:
    """ASGI middleware: answers 401 to whoever does not show the token, its body unread.

    Args:
        app: what comes after it.
        token_of: gives the token: the application is made before its replica has one.
    """

    def __init__(self, app: ASGIApp, token_of: Callable[[], str | None]) -> None:
        self._app, self._token_of = app, token_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, or refuse it."""
        path = scope.get("path", "")
        if scope["type"] == "http" and path not in _OPEN and not path.startswith(_OPEN_BELOW):
            given = [v.decode("latin-1") for k, v in scope["headers"] if k == b"authorization"]
            if not shows(given, self._token_of()):
                text = "show the service's token: Authorization: Bearer TOKEN"
                await refusal(401, text, {"WWW-Authenticate": "Bearer"})(scope, receive, send)
                return
        await self._app(scope, receive, send)
