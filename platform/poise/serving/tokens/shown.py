"""Tokens as clients show them."""

import base64
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

_SCHEME: Final = "bearer "


def shown(headers: Sequence[str]) -> str:
    """The token that ``Authorization`` headers show; empty where they show none."""
    bearer = len(headers) == 1 and headers[0].lower().startswith(_SCHEME)
    return headers[0][len(_SCHEME) :].strip() if bearer else ""


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
