"""A Ray for this machine alone: it listens on loopback, and its token is its owner's to read."""

import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ray._common.network_utils import is_localhost
from ray._private import ray_constants
from ray.util import get_node_ip_address

from poise.runtime.ray_cluster.checks import ray_folder

_OBJECT_STORE_BYTES = 1_000_000_000
_SECONDS = 5.0


def own_cluster(cpus: int) -> dict[str, Any]:
    """Options of ``ray.init`` for a cluster of this process.

    Raises:
        ClusterError: as `ray_folder`.
    """
    folder = ray_folder()
    return {
        "address": "local",  # whatever cluster of somebody else's runs on this machine
        "num_cpus": cpus,
        "include_dashboard": False,
        "object_store_memory": _OBJECT_STORE_BYTES,
        **({"_temp_dir": str(folder)} if folder else {}),
    }


@contextmanager
def on_loopback() -> Iterator[None]:
    """Let whatever Ray starts inside the block listen on 127.0.0.1.

    Ray takes a node for reachable by others on Linux, and its servers then listen on every
    interface; an address of loopback that is given to it is replaced. Where it does not expect
    others, as on macOS, its nodes are on loopback. This is the switch, which Ray reads from an
    environment variable, once and when it is imported.
    """
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


def listens_on_loopback(address: str) -> bool:
    """Say whether a cluster of this machine is one that `on_loopback` started.

    Ray asks for it at this machine's address in the network, whatever it is given, unless it is
    on loopback itself.

    Args:
        address: ``HOST:PORT``, where a cluster answers.
    """
    host, _, port = address.rpartition(":")
    if "://" in host or not is_localhost(host.strip("[]")):
        return False
    try:
        socket.create_connection((get_node_ip_address(), int(port)), _SECONDS).close()
    except OSError:
        return True
    return False


def keep_token() -> None:
    """Make the token of clusters of this user one that nobody else can read.

    Ray would write it with the rights of any file. A home that cannot be written to is left to
    Ray, and so is a token that the environment names.
    """
    named = {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys()
    if named or os.environ.get("RAY_AUTH_MODE", "token").lower() != "token":
        return
    path = Path.home() / ".ray" / "auth_token"
    with suppress(OSError, RuntimeError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            opened = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            with os.fdopen(opened, "w") as file:
                file.write(secrets.token_hex(32))
        path.chmod(0o600)
