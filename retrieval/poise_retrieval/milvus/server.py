"""A Milvus server for one data folder, shared by all processes that need it.

Milvus lets one process open a folder. So the first process starts a server, the others connect to
it, and it ends with the process that started it.
"""

import fcntl
import json
import logging
import os
import secrets
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import psutil

from poise_retrieval.errors import StoreUnavailableError

_log = logging.getLogger(__name__)

_CHILD: Final = Path(__file__).with_name("child.py")
_POLL_S: Final = 0.05
_STOP_S: Final = 15.0
_LOG_TAIL: Final = 2000


@dataclass(frozen=True)
class _Record:
    pid: int
    port: int
    token: str


@dataclass(frozen=True)
class Launch:
    """Arguments and environment with which `child.py` is started."""

    arguments: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


class MilvusServer(ABC):
    """A context manager around the Milvus of a folder; see its subclasses.

    Entering shares the folder's healthy server or starts one; leaving stops only a server that was
    started here. It needs no password, and does not outlive the process that started it. In the
    folder: ``server.json`` (who serves it), ``server.log``, and the data.
    """

    def __init__(self, folder: Path, port: int, timeout_s: float) -> None:
        self._folder = Path(folder).resolve()
        self._wanted_port = port
        self._timeout_s = timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._port: int | None = None

    @property
    def uri(self) -> str:
        """Address for `PoseStore`.

        Raises:
            StoreUnavailableError: not entered yet.
        """
        if self._port is None:
            raise StoreUnavailableError("this Milvus is not running: enter it with `with`")
        return f"http://127.0.0.1:{self._port}"

    @property
    def started_here(self) -> bool:
        """Whether this object started the server and will stop it."""
        return self._process is not None

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._alone():
            record = self._healthy()
            if record is None:
                record = self._start()
            else:
                _log.info("sharing the Milvus of %s at port %d", self._folder, record.port)
            self._port = record.port
        return self

    def __exit__(self, *_: object) -> None:
        process, self._process, self._port = self._process, None, None
        if process is None:
            return
        assert process.stdin is not None  # noqa: S101
        process.stdin.close()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            _log.warning("Milvus of %s does not stop; killing it, rows are safe", self._folder)
            process.kill()
            process.wait()

    @abstractmethod
    def _launch(self) -> Launch: ...

    @property
    def _record_path(self) -> Path:
        return self._folder / "server.json"

    @property
    def _log_path(self) -> Path:
        return self._folder / "server.log"

    @contextmanager
    def _alone(self) -> Iterator[None]:
        deadline = time.monotonic() + self._timeout_s
        with (self._folder / "server.lock").open("w") as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise StoreUnavailableError(
                            f"another process has been starting the Milvus of {self._folder} "
                            f"for {self._timeout_s:.0f} s: look into {self._log_path}"
                        ) from None
                    time.sleep(_POLL_S)
            yield

    def _healthy(self) -> _Record | None:
        record = self._read_record()
        if record is None or not _is_ours(record):
            return None
        try:
            socket.create_connection(("127.0.0.1", record.port), timeout=2.0).close()
        except OSError:
            return None
        return record

    def _read_record(self) -> _Record | None:
        try:
            fields = json.loads(self._record_path.read_text())
            return _Record(int(fields["pid"]), int(fields["port"]), str(fields["token"]))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            _log.warning("%s is damaged (%s); starting afresh", self._record_path, error)
            return None

    def _start(self) -> _Record:
        token = secrets.token_hex(16)
        launch = self._launch()
        told = {
            "--folder": self._folder,
            "--record": self._record_path,
            "--token": token,
            "--parent": os.getpid(),
        }
        options = [str(word) for option in told.items() for word in option]
        command = [sys.executable, "-P", str(_CHILD), *options, *launch.arguments]
        with self._log_path.open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                # A Ctrl-C in the terminal is for the parent, which then stops this one in order.
                start_new_session=True,
                env={**os.environ, "GRPC_ENABLE_FORK_SUPPORT": "0", **launch.environment},
            )
        self._process = process
        try:
            record = self._await_record(process, token)
        except BaseException:
            process.kill()
            process.wait()
            self._process = None
            raise
        _log.info("started Milvus for %s at port %d", self._folder, record.port)
        return record

    def _await_record(self, process: subprocess.Popen[bytes], token: str) -> _Record:
        deadline = time.monotonic() + self._timeout_s
        while time.monotonic() < deadline:
            record = self._read_record()
            if record is not None and record.token == token:
                return record
            if process.poll() is not None:
                raise self._failed(f"ended with code {process.returncode}")
            time.sleep(_POLL_S)
        raise self._failed(f"was not ready after {self._timeout_s:.0f} s")

    def _failed(self, what: str) -> StoreUnavailableError:
        tail = self._log_path.read_text(errors="replace")[-_LOG_TAIL:].strip()
        return StoreUnavailableError(
            f"the Milvus of {self._folder} {what}; the end of {self._log_path}:\n{tail}"
        )


class EmbeddedMilvus(MilvusServer):
    """A Milvus Lite for ``data_dir``, on loopback: good to some 100,000 rows.

    It starts in a second and lets one client write at a time. Its rows lie in ``rows/``.

    Args:
        data_dir: where it keeps its data.
        port: where it listens if it is started here; 0 for any free port.
        timeout_s: how long a start may take.
    """

    def __init__(self, data_dir: Path, port: int = 0, timeout_s: float = 60.0) -> None:
        super().__init__(data_dir, port, timeout_s)

    def _launch(self) -> Launch:
        return Launch(["--port", str(self._wanted_port)])


def _is_ours(record: _Record) -> bool:
    # The token on the command line tells our server from a later process of the same number.
    try:
        return record.token in psutil.Process(record.pid).cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
