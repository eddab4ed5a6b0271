"""Connections that end when their time is over, whatever the server sends through them.

A timeout of a socket is one of silence: a head, or what follows the last chunk, that comes byte by
byte, or is "100 Continue" for ever, never meets it.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

_here = threading.local()


class Deadline:
    """A time after which the connections of a thread are cut."""

    def __init__(self) -> None:
        self.is_over = False
        self._sockets: list[socket.socket] = []

    def end(self) -> None:
        """Cut them: whoever reads one comes to its end."""
        self.is_over = True
        for one in self._sockets:
            with suppress(OSError):
                # Of TLS, too, whose own way waits for the other side.
                socket.socket.shutdown(one, socket.SHUT_RDWR)

    def holds(self, one: socket.socket) -> None:
        """Let it cut this one, too."""
        self._sockets = [one]  # a thread has one answer at a time
        if self.is_over:
            self.end()


@contextmanager
def deadline(seconds: float) -> Iterator[Deadline]:
    """Cut what this thread asks sessions of `timed_session` for in the block after some seconds."""
    _here.deadline = found = Deadline()
    timer = threading.Timer(seconds, found.end)
    timer.daemon = True
    timer.start()
    try:
        yield found
    finally:
        timer.cancel()
        del _here.deadline


def timed_session() -> requests.Session:
    """A session whose connections know `deadline`, and which follows no redirect by itself."""
    session = _Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Adapter())
    return session


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> str | None:
        # Whoever has one here has the body of the redirect read to its end.
        return None


class _Http(HTTPConnection):
    def getresponse(self) -> Any:
        _note(self.sock)
        return super().getresponse()


class _Https(HTTPSConnection):
    def getresponse(self) -> Any:
        _note(self.sock)
        return super().getresponse()


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _Https


_POOLS: Final = {"http": _HttpPool, "https": _HttpsPool}


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        manager = super().proxy_manager_for(*args, **options)
        manager.pool_classes_by_scheme = _POOLS
        return manager


def _note(one: socket.socket | None) -> None:
    found: Deadline | None = getattr(_here, "deadline", None)
    if found is not None and one is not None:
        found.holds(one)
