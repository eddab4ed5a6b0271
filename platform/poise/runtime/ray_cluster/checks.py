"""What is looked at before Ray starts: the address it is to join, the folder of its sockets."""

import logging
import os
import socket
import sys
import tempfile
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from poise.runtime.errors import ClusterError
from poise.runtime.printable import printable

log = logging.getLogger(__name__)

_SECONDS = 5.0
_CLIENT_PORT = 10001
#: Bytes that the kernel takes as a socket's path, and what Ray puts below its folder.
_LONGEST = 103 if sys.platform == "darwin" else 107
_BELOW = "/ray/session_0000-00-00_00-00-00_000000_0000000/sockets/plasma_store"
_SHORT = Path("/tmp")  # noqa: S108  (Ray's own choice where nothing is set)

#: What to do about an address that leads nowhere.
CURE = (
    "name a running one as HOST:6379 (`ray start --head` prints it), or unset RAY_ADDRESS, and "
    "Poise starts a small one on this machine"
)


def answering_address(address: str) -> str:
    """See within seconds that a Ray cluster answers.

    Args:
        address: what ``$RAY_ADDRESS`` says: ``HOST:PORT``, ``ray://HOST:PORT``, or ``auto`` for
            what ``ray start`` started last on this machine.

    Returns:
        The address, with ``auto`` resolved.

    Raises:
        ClusterError: it is of another form, or nobody answers; the message says what to do.
    """
    chosen = _last_started() if address == "auto" else address
    host, port = _place(chosen)
    try:
        socket.create_connection((host, port), _SECONDS).close()
    except (OSError, UnicodeError) as error:
        raise _dead(address, host, port, getattr(error, "strerror", None) or "no answer") from None
    if os.environ.get("RAY_USE_TLS", "0") == "0" and not speaks_grpc(host, port):
        raise _dead(address, host, port, "whoever listens there is no Ray, or it hangs")
    return chosen


def ray_folder() -> Path | None:
    """Return the folder for Ray's own files where it cannot be the one that Ray would take.

    Raises:
        ClusterError: no folder will do; the message names the variable.
    """
    variable = next((name for name in ("RAY_TMPDIR", "TMPDIR") if name in os.environ), None)
    folder = os.environ[variable] if variable else str(_SHORT)
    over = len(os.fsencode(os.path.abspath(folder) + _BELOW)) - _LONGEST
    if over <= 0:
        _check_writable(folder, variable)
        return None
    found = f"{variable}={printable(folder)} is {over} bytes too long for Ray's sockets"
    if variable == "RAY_TMPDIR":
        raise ClusterError(f"{found}: name a shorter folder there, such as {_SHORT}")
    _check_writable(str(_SHORT), variable, f"{found}; RAY_TMPDIR may name a shorter one, and ")
    _say_once(f"{found}: its files go to {_SHORT}/ray; RAY_TMPDIR may name another short folder")
    return _SHORT / "ray"


@cache
def _say_once(message: str) -> None:
    log.warning("%s", message)


def no_cluster(address: str, why: str) -> ClusterError:
    """Say that Ray itself could not join the cluster of ``$RAY_ADDRESS``."""
    reason = printable((why.strip().splitlines() or ["no reason given"])[0])
    return ClusterError(f"{_named(address)} cannot be joined ({reason}): {CURE}")


def _place(address: str) -> tuple[str, int]:
    scheme, there, rest = address.rpartition("://")
    if scheme in ("http", "https"):
        raise ClusterError(
            f"{_named(address)} is where `ray job submit` goes: put that into "
            f"RAY_API_SERVER_ADDRESS. For RAY_ADDRESS, {CURE}"
        )
    try:
        asked = urlsplit(f"//{rest}")
        host, port = asked.hostname, asked.port or (_CLIENT_PORT if scheme == "ray" else None)
    except ValueError:
        host = port = None
    if (there and scheme != "ray") or not (host and port):
        raise ClusterError(f"{_named(address)} is no address of a Ray cluster: {CURE}")
    return host, port


def _last_started() -> str:
    from ray._private.utils import read_ray_address

    found = read_ray_address()
    if found is None:
        raise ClusterError(f"{_named('auto')}, and `ray start` left no cluster here: {CURE}")
    return str(found)


def speaks_grpc(host: str, port: int, within_s: float = _SECONDS) -> bool:
    """Say whether whoever listens there answers as a gRPC server does, without TLS."""
    import grpc  # type: ignore[import-untyped]

    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    # Ray, too, goes through no proxy.
    with grpc.insecure_channel(place, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=within_s)
        except grpc.FutureTimeoutError:
            return False
    return True


def _check_writable(folder: str, variable: str | None, before: str = "") -> None:
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder):
            return
    except OSError as error:
        named = f"{variable}={printable(folder)}" if variable and not before else folder
        raise ClusterError(
            f"{before}Ray cannot keep its files in {named} ({error.strerror}): name a folder "
            "that can be written to in RAY_TMPDIR"
        ) from None


def _named(address: str) -> str:
    return f"RAY_ADDRESS={printable(address)}"


def _dead(address: str, host: str, port: int, why: str) -> ClusterError:
    place = f"{host}:{port}"
    where = "" if place in address else f" stands for {place}, which"
    return ClusterError(f"{_named(address)}{where} does not answer ({why}): {CURE}")
