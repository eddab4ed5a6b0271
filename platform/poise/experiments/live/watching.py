"""A sweep seen from elsewhere: all that is known of it is its folder."""

import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from poise.experiments.grid import TrialSpec
from poise.experiments.live.beat import EVERY_S
from poise.experiments.live.rows import LiveRow, live_rows
from poise.experiments.live.status import ENDS, Status, duration
from poise.experiments.records import SweepFolder, TrialResult, now_ms
from poise.runtime import storage
from poise.runtime.errors import PlanError

#: Seconds without a heartbeat after which the sweep's process is taken for dead.
LOST_S = 120.0
_READERS = 16
_GO_ON = "the same command goes on where it ended"


@dataclass(frozen=True)
class View:
    """A sweep as it is seen.

    Attributes:
        status: what its process last said; None where it never said anything.
        rows: its table so far.
        silent_s: seconds since anything was heard of that process.
        lost: whether it must be taken for dead.
        done: whether all trials have ended, and their results are written.
    """

    status: Status | None
    rows: Sequence[LiveRow]
    silent_s: float
    lost: bool
    done: bool

    @property
    def over(self) -> bool:
        """Whether nothing more will come."""
        return self.done or self.lost or (self.status is not None and self.status.state in ENDS)

    @property
    def advice(self) -> str:
        """What to do, where it is not done and nothing more will come."""
        if self.done or not self.over:
            return ""
        if self.status is None:
            return f"no process has said that it runs this sweep; {_GO_ON}"
        if self.lost:
            return (
                f"its driver ({self.status.process}) has not been heard of for "
                f"{duration(self.silent_s)}: it was killed, or its machine is gone; {_GO_ON}"
            )
        return f"it was interrupted; {_GO_ON}"

    def to_json(self) -> dict[str, Any]:
        """Return all of it as a dictionary of plain values."""
        return {
            "status": self.status and self.status.to_json(),
            "rows": [vars(row) for row in self.rows],
            "silent_s": self.silent_s,
            "lost": self.lost,
            "done": self.done,
        }


class Watcher:
    """Looks at a sweep's folder again and again, and reads what may have changed."""

    def __init__(self, sweep: SweepFolder) -> None:
        """Be about a sweep.

        Raises:
            PlanError: there is none.
        """
        if not sweep.exists():
            raise PlanError(f"{sweep.uri}: no sweep is there; poise sweep makes one")
        self._sweep = sweep
        self._specs: dict[str, TrialSpec] = {}
        self._results: dict[str, TrialResult] = {}
        self._seen: object = None
        self._sign: object = None
        self._changed = self._began = time.monotonic()
        self._before_s = 0.0

    def look(self) -> View:
        """Return the sweep as it is now."""
        status = self._status()
        keys = self._sweep.header()["trials"]
        seen = (keys, status and (status.done, status.state, [one.key for one in status.running]))
        if status is None or seen != self._seen:
            self._seen = seen
            self._read(keys)
        specs = [self._specs[key] for key in keys if key in self._specs]
        ended = {key: self._results[key] for key in keys if key in self._results}
        running = () if status is None else status.running
        silent = self._silent(status)
        done = len(ended) == len(keys) if status is None else status.state == "finished"
        ended_itself = done or (status is not None and status.state in ENDS)
        return View(
            status,
            live_rows(specs, ended, running),
            silent,
            not ended_itself and (status is None or silent > LOST_S),
            done,
        )

    def look_surely(self) -> View:
        """Return the sweep as it is now; what seems dead is given time to show that it is not.

        The clock of the sweep's machine may be another than this one's.
        """
        view = self.look()
        end = time.monotonic() + 3 * EVERY_S
        while self._is_doubtful(view) and time.monotonic() < end:
            time.sleep(EVERY_S / 5)
            view = self.look()
        return view

    def _is_doubtful(self, view: View) -> bool:
        unheard = self._changed == self._began
        return view.lost or (unheard and self._before_s < 0 and not view.over)

    def _status(self) -> Status | None:
        if not storage.exists(self._sweep.live):
            return None
        return Status.from_json(json.loads(storage.read_bytes(self._sweep.live)))

    def _silent(self, status: Status | None) -> float:
        now = time.monotonic()
        if status is None:
            return 0.0
        sign = (status.host, status.pid, status.number)
        if self._sign is None:
            self._before_s = (now_ms() - status.at) / 1000
        elif sign != self._sign:
            self._changed, self._before_s = now, 0.0
        self._sign = sign
        return max(now - self._changed + self._before_s, 0.0)

    def _read(self, keys: Sequence[str]) -> None:
        def one(key: str) -> tuple[str, TrialSpec | None, TrialResult | None]:
            trial = self._sweep.trial(key)
            return key, self._specs.get(key) or trial.spec(), trial.result()

        open_ = [key for key in keys if not self._is_finished(key)]
        with ThreadPoolExecutor(_READERS) as readers:
            for key, spec, result in readers.map(one, open_):
                if spec is not None:
                    self._specs[key] = spec
                self._results.pop(key, None)
                if result is not None:
                    self._results[key] = result

    def _is_finished(self, key: str) -> bool:
        result = self._results.get(key)
        return result is not None and result.status == "finished"
