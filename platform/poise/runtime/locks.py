"""One writer at a time for a sweep's folder."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ray

from poise.runtime import storage
from poise.runtime.errors import BusyError
from poise.runtime.ray_cluster.join import connect
from poise.runtime.ray_cluster.nodes import on_this_node


@contextmanager
def exclusive(uri: str) -> Iterator[None]:
    """Hold a folder alone inside the block.

    The lock is the kernel's (a local folder) or the Ray cluster's (any other storage): both end
    with the process that holds them, however it ends, so there are no stale locks.

    Raises:
        BusyError: another process holds it; the message says which.
    """
    if storage.is_local(uri):
        with _file_lock(Path(storage.resolve(uri)[1])):
            yield
    else:
        with connect(), _cluster_lock(uri):
            yield


@contextmanager
def _file_lock(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise BusyError(_busy(str(folder), file.read())) from None
        file.truncate(0)
        file.write(_me())
        file.flush()
        yield


class _Holder:
    def __init__(self, owner: str) -> None:
        self._owner = owner

    def owner(self) -> str:
        return self._owner


@contextmanager
def _cluster_lock(uri: str) -> Iterator[None]:
    name, namespace = f"lock of {uri}", "poise"
    try:
        options = {"name": name, "namespace": namespace, "num_cpus": 0}
        # On another node it would end with that one, and the lock with it.
        where = {"scheduling_strategy": on_this_node()}
        holder = ray.remote(_Holder).options(**options, **where).remote(_me())
    except ValueError:
        owner = ray.get(ray.get_actor(name, namespace=namespace).owner.remote(), timeout=30)
        raise BusyError(_busy(uri, owner)) from None
    try:
        yield
    finally:
        ray.kill(holder)


def _me() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


def _busy(place: str, owner: str) -> str:
    return f"{place} is in use by {owner.strip() or 'another process'}: wait for it, or stop it"
