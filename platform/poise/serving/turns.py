"""A thread that several jobs share: all of them go on a step at a time."""

import asyncio
import logging
import queue
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

logger = logging.getLogger(__name__)


class Job(Protocol):
    """Work that is done in steps; its ``outcome`` is None until the last one."""

    outcome: Any


SomeJob = TypeVar("SomeJob", bound=Job)


class Turns(Generic[SomeJob]):
    """A thread in which jobs go on side by side, so that a short one waits for no long one.

    Args:
        name: of the thread.
        advance: take a step of the jobs given, all of which are unfinished. A step is to be short:
            a job that comes waits for its end.
    """

    def __init__(self, name: str, advance: Callable[[list[SomeJob]], None]) -> None:
        self._advance = advance
        self._inbox: queue.SimpleQueue[_Waited[SomeJob]] = queue.SimpleQueue()
        self._open: list[_Waited[SomeJob]] = []
        self._step_began: float | None = None
        self._steps_s = 0.0
        threading.Thread(target=self._work, name=name, daemon=True).start()

    @property
    def step_s(self) -> float:
        """Seconds that the step which is being taken has lasted."""
        began = self._step_began
        return 0.0 if began is None else time.monotonic() - began

    @property
    def busy_s(self) -> float:
        """Seconds that all steps have lasted until now."""
        return self._steps_s + self.step_s

    async def finished(self, job: SomeJob) -> Any:
        """Wait for a job's outcome. Whoever is cancelled while waiting ends the job.

        Raises:
            Exception: the outcome, where it is an exception.
        """
        loop = asyncio.get_running_loop()
        waited = _Waited(job, loop, loop.create_future())
        self._inbox.put(waited)
        outcome = await waited.future
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _work(self) -> None:
        while True:
            self._take_in()
            self._step_began = time.monotonic()
            try:
                self._advance([one.job for one in self._open])
            except Exception as error:  # belongs to those whose step it was
                logger.exception("A step of %d jobs failed", len(self._open))
                for one in self._open:
                    one.job.outcome = error
            self._steps_s += self.step_s
            self._step_began = None
            self._give_out()

    def _take_in(self) -> None:
        while not self._open or not self._inbox.empty():
            waited = self._inbox.get()
            if not waited.future.cancelled():
                self._open.append(waited)

    def _give_out(self) -> None:
        done: dict[asyncio.AbstractEventLoop, list[_Waited[SomeJob]]] = defaultdict(list)
        going_on = []
        for one in self._open:
            if one.job.outcome is None and not one.future.cancelled():
                going_on.append(one)
            else:
                done[one.loop].append(one)
        self._open = going_on
        for loop, jobs in done.items():
            # A loop is woken once for all of its jobs: each time costs more than a frame does.
            with suppress(RuntimeError):  # it has ended, and nobody waits any more
                loop.call_soon_threadsafe(_tell, jobs)


@dataclass(frozen=True)
class _Waited(Generic[SomeJob]):
    """A job, and what waits for it on an event loop."""

    job: SomeJob
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]


def _tell(jobs: Sequence[_Waited[Any]]) -> None:
    for one in jobs:
        if not one.future.done():  # or whoever waited has been cancelled
            one.future.set_result(one.job.outcome)


class Steps:
    """A generator as a job: every ``yield`` ends a step, and what it returns is the outcome."""

    def __init__(self, generator: Generator[None, None, Any]) -> None:
        self.outcome: Any = None
        self._generator = generator

    def step(self) -> None:
        """Go on to the next ``yield``."""
        try:
            next(self._generator)
        except StopIteration as end:
            self.outcome = end.value
        except Exception as error:  # is raised where the outcome is awaited
            self.outcome = error


def step_all(jobs: list[Steps]) -> None:
    """Take one step of each job."""
    for job in jobs:
        job.step()
