"""The process that holds an embedded Milvus; started by `EmbeddedMilvus`, not by people.

It lives as long as its standard input stays open and its parent stays its parent, so that it ends
with the parent whatever ends that. Run as a script: it needs neither Poise nor torch.
"""

import argparse
import json
import os
import select
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

_LOCK_WAIT_S = 20.0


def main() -> None:
    """Serve one data folder on a free loopback port until the parent goes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--record", type=Path, required=True)
    parser.add_argument("--token", required=True)
    parser.add_argument("--parent", type=int, required=True)
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, _leave)

    server, database, port = _open(given.rows, given.parent)
    try:
        record = {"pid": os.getpid(), "port": port, "token": given.token}
        _write_atomically(given.record, json.dumps(record))
        _wait_for_parent(given.parent)
    finally:
        _remove_own(given.record, given.token)
        server.stop(2).wait()
        database.close()


def _open(rows: Path, parent: int) -> tuple[Any, Any, int]:
    from milvus_lite.adapter.grpc.server import start_server_in_thread
    from milvus_lite.exceptions import DataDirLockedError

    deadline = time.monotonic() + _LOCK_WAIT_S
    while True:
        try:
            # Lite loses acknowledged rows when two workers write one collection and it crashes.
            opened: tuple[Any, Any, int] = start_server_in_thread(
                str(rows), host="127.0.0.1", port=0, max_workers=1
            )
            return opened
        except DataDirLockedError:
            # The server of a killed parent may still be closing.
            if time.monotonic() > deadline or os.getppid() != parent:
                raise
            time.sleep(0.1)


def _wait_for_parent(parent: int) -> None:
    # A fork of the parent may hold the other end of the pipe open; hence the second look.
    while os.getppid() == parent:
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
