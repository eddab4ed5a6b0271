"""A sweep's heartbeat: its own process looks at all trials, and says and writes where they are."""

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Self

from poise.experiments.grid import TrialSpec
from poise.experiments.live.beat import EVERY_S, Beat, fraction, read_beat
from poise.experiments.live.pace import Pace, seconds_of
from poise.experiments.live.rows import LiveRow, live_rows
from poise.experiments.live.status import ENDS, Running, State, Status
from poise.experiments.records import SweepFolder, TrialResult, now_ms
from poise.runtime import storage
from poise.runtime.activity import Activity
from poise.runtime.ticking import every_few_seconds

log = logging.getLogger(__name__)

#: Seconds between two lines.
LINE_S = 20.0

#: Part of a trial after which its rate is believed.
_LEAST = 0.002

#: Shows where a sweep is, whenever that is looked at.
Show = Callable[[Status, Sequence[LiveRow]], None]


class Pulse:
    """Knows which trials run, hears their heartbeats, and tells.

    It is told by Tune's callbacks which trials begin and end; all else happens in its own thread.
    """

    def __init__(
        self,
        sweep: SweepFolder,
        specs: Sequence[TrialSpec],
        results: Mapping[str, TrialResult],
        show: Show | None = None,
        every: float = EVERY_S,
    ) -> None:
        """Be about a sweep.

        Args:
            sweep: its folder, which receives ``live.json``.
            specs: all its trials.
            results: of those that ended before, by key.
            show: called every few seconds; by default a line is logged, less often.
            every: seconds between two looks.
        """
        self._sweep = sweep
        self._specs = {spec.key: spec for spec in specs}
        self._before = dict(results)
        self._results = dict(results)
        self._show = show or _Lines()
        self._every = every
        self._running: dict[str, _Heard] = {}
        self._most = 1
        self._state: State = "starting"
        self._pace = Pace()
        self._lock = threading.Lock()
        self._looking = ExitStack()
        self._soon = threading.Event()
        self._number = 0

    def __enter__(self) -> Self:
        """Begin to look."""
        looking = every_few_seconds(self._look, self._every, "poise-pulse")
        self._soon = self._looking.enter_context(looking)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """Say how it ended, and look no more."""
        self._looking.close()
        self._state = "interrupted" if kind else "finished"
        self._running.clear()
        with suppress(Exception):
            self._look(self._number + 1)

    def began(self, spec: TrialSpec) -> None:
        """Take in that a trial begins, or begins again."""
        with self._lock:
            self._state = "running"
            self._specs.setdefault(spec.key, spec)
            self._running[spec.key] = _Heard(spec)
            self._most = max(self._most, len(self._running))
        self._soon.set()

    def ended(self, key: str, result: TrialResult) -> None:
        """Take in that a trial ended."""
        with self._lock:
            heard = self._running.pop(key, None)
            self._results[key] = result
            if heard is not None and result.status == "finished":
                self._pace.learn(heard.spec, heard.seconds)
        self._soon.set()

    def publishes(self) -> None:
        """Take in that all trials have ended, and what they gave is being written elsewhere."""
        self._state = "publishing"
        self._soon.set()

    def _look(self, number: int) -> None:
        if number == 1:
            self._learn()
        with self._lock:
            heard = list(self._running.values())
        for one in heard:
            one.hear(read_beat(self._sweep.trial(one.spec.key)))
        self._number = number
        status, rows = self._status(number)
        # What is shown does not depend on whether the storage takes anything now.
        with suppress(Exception):
            self._show(status, rows)
        storage.write_bytes(self._sweep.live, json.dumps(status.to_json()).encode())

    def _learn(self) -> None:
        for key, result in self._before.items():
            seconds = seconds_of(self._sweep.trial(key)) if result.row is not None else None
            if seconds:
                self._pace.learn(self._specs[key], seconds)

    def _status(self, number: int) -> tuple[Status, list[LiveRow]]:
        with self._lock:
            under_way = tuple(one.running(self._pace) for one in self._running.values())
            results = {key: self._results[key] for key in self._specs if key in self._results}
            open_ = [
                spec
                for key, spec in self._specs.items()
                if key not in results and key not in self._running
            ]
            left = self._pace.left([one.left_s for one in under_way], open_, self._most)
        status = Status(
            number=number,
            at=now_ms(),
            host=socket.gethostname(),
            pid=os.getpid(),
            state=self._state,
            plan=self._sweep.name,
            total=len(self._specs),
            done=len(results),
            failed=sum(result.status != "finished" for result in results.values()),
            left_s=left,
            running=under_way,
        )
        return status, live_rows(list(self._specs.values()), results, under_way)


class _Heard:
    """What is heard of one trial, in this process's own time."""

    def __init__(self, spec: TrialSpec) -> None:
        self.spec = spec
        self._began = self._changed = self._moved = time.monotonic()
        self._beat: Beat | None = None
        self._first: tuple[float, float] | None = None

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    @property
    def _activity(self) -> Activity:
        return Activity() if self._beat is None else self._beat.activity

    def hear(self, beat: Beat | None) -> None:
        if beat is None or beat == self._beat:
            return
        self._changed = time.monotonic()
        if beat.activity != self._activity:
            self._moved = self._changed
        self._beat = beat
        if self._first is None:
            self._first = (self._changed, fraction(self.spec, beat.activity))

    def running(self, pace: Pace) -> Running:
        now = time.monotonic()
        done = fraction(self.spec, self._activity)
        left = self._left(done)
        if left is not None:
            pace.learn(self.spec, self.seconds + left)
        elif (whole := pace.expected(self.spec)) is not None:
            left = whole * (1 - done)
        return Running(
            self.spec.key,
            self.spec.name,
            self._activity,
            done,
            left,
            now - self._moved,
            now - self._changed,
        )

    def _left(self, done: float) -> float | None:
        """Return the seconds left at the rate that was seen; None where none was."""
        if self._first is None:
            return None
        since, before = self._first
        gained = done - before
        return (1 - done) * (self._changed - since) / gained if gained > _LEAST else None


class _Lines:
    """Logs a line now and then."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self, status: Status, rows: Sequence[LiveRow]) -> None:
        now = time.monotonic()
        if status.state not in ENDS and now - self._last >= LINE_S - EVERY_S / 2:
            self._last = now
            log.info("%s", status)
