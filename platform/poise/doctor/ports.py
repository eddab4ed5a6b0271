"""Ports that Poise and what it works with take by default: free, or whose?"""

import socket
from collections.abc import Iterator
from dataclasses import dataclass

import psutil

from poise.doctor.finding import Finding
from poise.runtime.printable import printable
from poise.runtime.settings import Settings

#: What listens there, and words of which one is in its command line.
_USERS = {
    8000: ("poise serve", ("serve", "ray", "poise")),
    5000: ("poise ui, or an MLflow server", ("mlflow", "poise", "gunicorn", "uvicorn")),
    8265: ("Ray's dashboard", ("dashboard", "ray")),
    6379: ("a Ray head", ("gcs_server", "ray")),
    10001: ("Ray's client server", ("ray",)),
    19530: ("Milvus", ("milvus",)),
}


def check(settings: Settings) -> Iterator[Finding]:
    """Say who listens at each of them."""
    strangers = 0
    listening = {}
    for port, (wanted, words) in _USERS.items():
        if not _taken(port):
            continue
        owner = _owner(port)
        if owner is not None and not any(word in owner.line for word in words):
            strangers += 1
            yield Finding(
                f"ports.{port}",
                "warning",
                f"{port}, the port of {wanted}, is taken by process {owner.pid} ({owner.name})",
                "end that program, or take another port (--port, http_options of serve.yaml)",
            )
        else:
            listening[port] = wanted
    free = [str(port) for port in _USERS if port not in listening]
    taken = "; ".join(f"{wanted} listens at {port}" for port, wanted in listening.items())
    if not strangers:
        said = "; ".join(filter(None, [taken, f"free: {', '.join(free)}" if free else ""]))
        yield Finding("ports", "ok", said)


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass(frozen=True)
class _Owner:
    """A process that listens: its command line, and a short name."""

    pid: int
    line: str
    name: str


def _owner(port: int) -> _Owner | None:
    """Return the process that listens at a port; None where this user may not know."""
    try:
        for one in psutil.net_connections("tcp"):
            if one.status == psutil.CONN_LISTEN and one.laddr and one.laddr[1] == port and one.pid:
                words = psutil.Process(one.pid).cmdline()
                name = " ".join(word.rpartition("/")[2] for word in words if word[:1] != "-")
                return _Owner(one.pid, " ".join(words).lower(), printable(name[:40]))
    except (psutil.AccessDenied, psutil.NoSuchProcess):
        pass
    return None
