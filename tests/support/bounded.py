"""Calls in a process of their own, with what they took: for input that may want all memory."""

import gc
import multiprocessing
import resource
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self

#: The process cannot have more, whatever it is asked to do.
_MOST_ADDRESSES = 12 * 2**30
_MOST_SECONDS = 60.0


@dataclass(frozen=True)
class Answer:
    """What came of a call.

    Attributes:
        value: what it returned; None where it raised.
        refused: the message of an error that Poise raises on purpose; else empty.
        seconds: of the processor.
        mib: how much memory it had at once, beyond what it began with.
    """

    value: Any
    refused: str
    seconds: float
    mib: float


class Bounded:
    """A process that answers one call after the other; a new one where a call took it along."""

    def __init__(self) -> None:
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def call(self, function: Callable[..., Any], *args: Any) -> Answer:
        """Call a function of a module; raise `AssertionError` where it raises what Poise does not.

        Args:
            function: of the top of a module.
            args: that can be pickled.
        """
        if self._pipe is None:
            self._begin()
        assert self._pipe is not None
        self._pipe.send((function, args))
        if not self._pipe.poll(_MOST_SECONDS):
            self._end()
            raise AssertionError(f"no answer within {_MOST_SECONDS:g} s")
        try:
            answer = self._pipe.recv()
        except EOFError:
            self._end()
            raise AssertionError("it took its process along") from None
        assert isinstance(answer, Answer), answer
        return answer

    def _begin(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._pipe, theirs = spawn.Pipe()
        self._process = spawn.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

    def _end(self) -> None:
        if self._process is not None and self._pipe is not None:
            self._pipe.close()
            self._process.kill()
            self._process.join()
        self._process = self._pipe = None


def _serve(pipe: Connection) -> None:
    from poise.runtime.errors import expected_errors

    resource.setrlimit(resource.RLIMIT_AS, (_MOST_ADDRESSES, _MOST_ADDRESSES))
    expected = expected_errors()
    while True:
        try:
            function, args = pipe.recv()
        except EOFError:
            return
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        before, started = _memory("VmRSS"), time.process_time()
        value, refused = None, ""
        try:
            value = function(*args)
        except expected as error:
            refused = str(error)
        except BaseException:
            pipe.send(traceback.format_exc())
            continue
        seconds = time.process_time() - started
        pipe.send(Answer(value, refused, seconds, _memory("VmHWM") - before))


def _memory(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024
