"""The process that runs the Milvus of one folder; started by `MilvusServer`, not by users.

It serves Milvus Lite itself, or watches a standalone server given as a command. It ends when its
standard input is closed or its parent is gone, so that no Milvus outlives the process that started
it. It runs as a script and needs neither Poise nor torch.
"""

import argparse
import contextlib
import ctypes
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

_LOCK_WAIT_S = 20.0
# In order it takes 5 to 20 s, to write what the next start would read from the log anyway.
_STOP_S = 3.0
_SET_PARENT_DEATH_SIGNAL = 1

_LIBC = ctypes.CDLL(None)


def main() -> None:
    """Serve one data folder on loopback until the parent goes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--record", type=Path, required=True)
    parser.add_argument("--token", required=True)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--health-port", type=int)
    parser.add_argument("command", nargs="*")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, _leave)

    serving = _standalone(given) if given.command else _lite(given)
    with serving as (port, failed):
        record = {"pid": os.getpid(), "port": port, "token": given.token}
        _write_atomically(given.record, json.dumps(record))
        try:
            _wait_for_parent(given.parent, failed)
        finally:
            _remove_own(given.record, given.token)


@contextmanager
def _lite(given: argparse.Namespace) -> Iterator[tuple[int, Callable[[], bool]]]:
    from milvus_lite.adapter.grpc.server import start_server_in_thread
    from milvus_lite.exceptions import DataDirLockedError

    deadline = time.monotonic() + _LOCK_WAIT_S
    while True:
        try:
            # Lite loses acknowledged rows when two workers write one collection and it crashes.
            server, database, port = start_server_in_thread(
                str(given.folder / "rows"), host="127.0.0.1", port=given.port, max_workers=1
            )
            break
        except DataDirLockedError:
            # The server of a killed parent may still be closing.
            if time.monotonic() > deadline or os.getppid() != given.parent:
                raise
            time.sleep(0.1)
    try:
        yield port, lambda: False
    finally:
        server.stop(2).wait()
        database.close()


@contextmanager
def _standalone(given: argparse.Namespace) -> Iterator[tuple[int, Callable[[], bool]]]:
    with (given.folder / "running.lock").open("w") as lock:
        # The server inherits the lock: it is free again when the last process of it has gone.
        _take(lock.fileno(), given.parent)
        server = subprocess.Popen(
            given.command,
            cwd=given.folder,
            stdin=subprocess.DEVNULL,
            pass_fds=[lock.fileno()],
            preexec_fn=_die_with_parent,
        )
        try:
            _await_health(given.health_port, given.parent, server)
            yield given.port, lambda: server.poll() is not None
        finally:
            server.terminate()
            try:
                server.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _take(lock: int, parent: int) -> None:
    deadline = time.monotonic() + _LOCK_WAIT_S
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline or os.getppid() != parent:
                raise
            time.sleep(0.1)


def _die_with_parent() -> None:
    _LIBC.prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)


def _await_health(port: int, parent: int, server: "subprocess.Popen[bytes]") -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # whatever proxy there is
    while server.poll() is None and os.getppid() == parent:
        with contextlib.suppress(OSError, urllib.error.HTTPError):
            address = f"http://127.0.0.1:{port}/healthz"
            with direct.open(address, timeout=10) as answer:
                if b"OK" in answer.read():
                    return
        time.sleep(0.1)
    raise SystemExit(f"the server ended with code {server.poll()}")


def _wait_for_parent(parent: int, failed: Callable[[], bool]) -> None:
    # A fork of the parent may hold the other end of the pipe open; hence the second look.
    while os.getppid() == parent:
        if failed():
            raise SystemExit("the server ended by itself")
        readable, _, _ = select.select([sys.stdin], [], [], 1.0)
        if readable and not os.read(sys.stdin.fileno(), 1):
            return


def _write_atomically(path: Path, text: str) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(text)
    partial.replace(path)


def _remove_own(record: Path, token: str) -> None:
    try:
        if json.loads(record.read_text())["token"] == token:
            record.unlink()
    except FileNotFoundError:
        return


def _leave(signum: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    main()
