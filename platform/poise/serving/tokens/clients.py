"""Clients by the tokens that they show, and what each of them may have of a replica."""

import hashlib
import hmac
import threading
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from poise.runtime.errors import SettingsError
from poise.runtime.text.files import read_text
from poise.serving.tokens.shown import shown

_Count = Annotated[int, Field(ge=1)]


class Client(BaseModel):
    """Whoever shows a token; what is None has the service's own limit.

    Attributes:
        name: of the token.
        sha256: of it, in hexadecimal digits.
        requests_per_s: on average; a second's may come at once.
        body_bytes: of a request.
        frames: of a request's sequence or file.
        people: of a file, and of a frame of a stream.
        streams: at a time.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = ""
    sha256: str = Field("", pattern="^[0-9a-f]{64}$")
    requests_per_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    body_bytes: _Count | None = None
    frames: _Count | None = None
    people: _Count | None = None
    streams: _Count | None = None


#: Where nobody has to show anything.
ANYBODY: Final = Client()


def read_clients(path: Path) -> tuple[Client, ...]:
    """Read a file of tokens: a TOML table for each, of the fields of `Client`.

    Raises:
        SettingsError: it is no such file.
    """
    try:
        tables = tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: no TOML: {error}") from None
    found = []
    for name, table in tables.items():
        if not isinstance(table, dict) or "sha256" not in table:
            raise SettingsError(f"{path}: {name} should be a table with the sha256 of a token")
        try:
            found.append(Client.model_validate({**table, "name": name}))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            field = ".".join(map(str, first["loc"]))
            raise SettingsError(f"{path}: {name}.{field}: {first['msg']}") from None
    if not found:
        raise SettingsError(f"{path}: holds no token")
    for one in found:
        if one.sha256 == _hash(""):
            raise SettingsError(f"{path}: {one.name}.sha256: is that of no token at all; make one")
    if len({one.sha256 for one in found}) < len(found):
        raise SettingsError(f"{path}: two names have the same token")
    return tuple(found)


class Clients:
    """Who may come, and when.

    Args:
        token: one that has no limits of its own; None has none.
        listed: the others. Where there is neither, everybody may come.
    """

    def __init__(self, token: str | None = None, listed: Sequence[Client] = ()) -> None:
        own = [] if token is None else [Client(sha256=_hash(token))]
        self._all = (*listed, *own)
        self._lock = threading.Lock()  # requests and streams come in on two threads
        #: When each has made up for what came.
        self._free: dict[str, float] = {}

    def who(self, headers: Sequence[str]) -> Client | None:
        """Say who shows these ``Authorization`` headers; None is nobody.

        How long that takes says nothing of any token.
        """
        if not self._all:
            return ANYBODY
        token = shown(headers)
        if not token:
            return None
        given, found = _hash(token), None
        for one in self._all:
            if hmac.compare_digest(given, one.sha256):
                found = one
        return found

    def wait_s(self, client: Client) -> float:
        """Count a request, or say how many seconds it comes too early."""
        if client.requests_per_s is None:
            return 0.0
        each = 1 / client.requests_per_s
        with self._lock:
            now = time.monotonic()
            free = max(self._free.get(client.sha256, now), now) + each
            early = free - now - max(1.0, each)
            if early <= 0:
                self._free[client.sha256] = free
        return max(early, 0.0)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
