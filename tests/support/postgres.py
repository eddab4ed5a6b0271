"""A real PostgreSQL on loopback, in a folder of its own, run by somebody who is not root."""

import os
import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Self

from tests.support.ports import free_port

_DEBIAN = Path("/usr/lib/postgresql")
_USER = "poise"


def programs() -> Path | None:
    """Where PostgreSQL is; None where it, or the driver that MLflow asks it by, is not."""
    if find_spec("psycopg") is None:
        return None
    found = shutil.which("pg_ctl") or max(map(str, _DEBIAN.glob("*/bin/pg_ctl")), default=None)
    # Not where a link lies: initdb looks for its files beside itself.
    return Path(found).resolve().parent if found else None


class Postgres:
    """Start, stop as a power cut would, and start again on the same port and data."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        # pytest's own folders are for nobody but their owner.
        self._folder = Path(tempfile.mkdtemp(prefix="poise-pg-"))
        self._port = free_port()
        self.uri = f"postgresql://{_USER}@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        options = f"-h 127.0.0.1 -p {self._port} -k {self._folder} -F -c max_connections=40"
        self._control("start", "-l", str(self._folder / "log"), "-o", options)

    def cut(self) -> None:
        """End it at once; what it had promised it finds in its log when it starts again."""
        self._control("stop", "-m", "immediate")

    def __enter__(self) -> Self:
        if os.getuid() == 0:
            shutil.chown(self._folder, "nobody")
        self._run("initdb", "--no-sync", "-A", "trust", "-U", _USER, "-E", "UTF8", "--locale=C")
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        shutil.rmtree(self._folder)

    def _control(self, verb: str, *more: str) -> None:
        self._run("pg_ctl", verb, "-w", *more)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments, "-D", str(self._folder / "data")]
        # It refuses to be root's.
        user = "nobody" if os.getuid() == 0 else None
        said = self._folder / "said"
        with said.open("ab") as log:  # no pipe: the server keeps what it was given
            done = subprocess.run(
                command, user=user, cwd=self._folder, stdout=log, stderr=log, check=False
            )
        assert done.returncode == 0, said.read_text()
