"""When a search ends: hours on the clock and hours of GPUs, over all its submissions."""

import json
import time
from collections.abc import Callable
from typing import Any

from ray.tune import Stopper

from poise.experiments.records import SweepFolder
from poise.experiments.space import SearchPart
from poise.runtime import storage

_FILE = "spent.json"
#: Seconds between two writes: what a killed driver does not count.
_EVERY_S = 5.0
_HOUR_S = 3600.0


class Limits(Stopper):
    """Counts what a search has spent, and stops its trials when that is all."""

    def __init__(
        self, sweep: SweepFolder, search: SearchPart, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Go on from what earlier submissions spent.

        Args:
            sweep: the search's folder.
            search: gives the limits.
            clock: seconds, for tests.
        """
        self._search, self._clock = search, clock
        self._file = storage.join(sweep.uri, _FILE)
        known: dict[str, float] = {}
        if storage.exists(self._file):
            known = json.loads(storage.read_bytes(self._file))
        self.hours, self.gpu_hours = known.get("hours", 0.0), known.get("gpu_hours", 0.0)
        self._before = self._written = clock()

    @property
    def spent(self) -> str:
        """Which limit is reached, in words; empty where none is."""
        for name in ("hours", "gpu_hours"):
            most = getattr(self._search, name)
            if most is not None and getattr(self, name) >= most:
                return f"the search's {most:g} {name.replace('gpu_', 'GPU ')} are over"
        return ""

    def begin(self) -> None:
        """Count from now on."""
        self._before = self._written = self._clock()

    def tick(self, gpus: float) -> None:
        """Count the time since the last call, in which so many GPUs were held."""
        now = self._clock()
        passed = (now - self._before) / _HOUR_S
        self.hours += passed
        self.gpu_hours += passed * gpus
        self._before = now
        if now - self._written >= _EVERY_S:
            self.save()

    def save(self) -> None:
        """Write down what was spent."""
        self._written = self._clock()
        text = json.dumps({"hours": self.hours, "gpu_hours": self.gpu_hours})
        storage.write_bytes(self._file, text.encode())

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """No trial is stopped for itself."""
        return False

    def stop_all(self) -> bool:
        """Say whether a limit is reached."""
        return bool(self.spent)
