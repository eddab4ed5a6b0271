"""The workers of a replica: started when there is a file, ended where one takes too long."""

import asyncio
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Any, Final

from poise.serving.files.exchange import receive, send

logger = logging.getLogger(__name__)

#: Files at a time, so that a short one does not wait behind one long one.
WORKERS: Final = 2
#: The longest that a file may take; a request ends after 300 s whatever it does.
LONGEST_S: Final = 240.0
_SLOW: Final = f"it takes longer than {LONGEST_S:.0f} seconds: split the recording"
_DIED: Final = (
    "reading or refining it needs more memory than one file may have: split the recording"
)

Answer = tuple[dict[str, Any], bytes]


class Workers:
    """Processes that refine files.

    Args:
        threads: of the processor that each may use.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._free = asyncio.Semaphore(WORKERS)
        self._idle: list[_Worker] = []
        self._busy: set[_Worker] = set()

    async def answer(self, asked: dict[str, Any], body: bytes) -> Answer:
        """Have a file refined. Whoever is cancelled leaves the work to end by itself."""
        return await asyncio.shield(self._answer(asked, body))

    def close(self) -> None:
        """End all processes."""
        for worker in [*self._idle, *self._busy]:
            worker.kill()

    async def _answer(self, asked: dict[str, Any], body: bytes) -> Answer:
        async with self._free:
            worker = self._idle.pop() if self._idle else _Worker(self._threads)
            self._busy.add(worker)
            try:
                async with asyncio.timeout(LONGEST_S):
                    answer = await asyncio.to_thread(worker.answer, asked, body)
            except TimeoutError:
                logger.warning("A file took longer than %.0f s: its worker is ended.", LONGEST_S)
                worker.kill()
                return {"status": 422, "message": _SLOW}, b""
            except OSError:
                answer = None
            finally:
                self._busy.discard(worker)
            if answer is None:
                logger.warning("A worker ended in the middle of a file.")
                worker.kill()
                return {"status": 422, "message": _DIED}, b""
            if answer[0]["last"]:
                worker.kill()
            else:
                self._idle.append(worker)
            return answer


class _Worker:
    def __init__(self, threads: int) -> None:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("POISE_TOKEN", "RAY"))}
        paths = os.pathsep.join(str(Path(one).absolute()) for one in sys.path if one)
        self._folder = tempfile.mkdtemp(prefix="poise-")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "poise.serving.files.worker", str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=self._folder,
            env={**kept, "PYTHONPATH": paths, "OMP_NUM_THREADS": str(threads)},
        )
        assert self._process.stdin is not None  # noqa: S101  (pipes were asked for)
        assert self._process.stdout is not None  # noqa: S101
        self._to: IO[bytes] = self._process.stdin
        self._from: IO[bytes] = self._process.stdout
        self._ready = False

    def answer(self, asked: dict[str, Any], body: bytes) -> Answer | None:
        """Ask and wait, in a thread; None where the process ended instead."""
        if not self._ready:
            self._ready = receive(self._from) is not None
        send(self._to, asked, body)
        return receive(self._from)

    def kill(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)
