"""How long trials take, learnt from those that have ended and those under way."""

import statistics
from collections.abc import Iterable, Sequence
from itertools import pairwise

from poise.experiments.grid import TrialSpec
from poise.experiments.records import TrialFolder


class Pace:
    """Seconds of trials, measured."""

    def __init__(self) -> None:
        self._took: dict[str, tuple[TrialSpec, float]] = {}

    def learn(self, spec: TrialSpec, seconds: float) -> None:
        """Take in how long a trial took, or seems to take."""
        self._took[spec.key] = (spec, seconds)

    def expected(self, spec: TrialSpec) -> float | None:
        """Return the mean of the trials that are most like it; None where nothing is known."""
        known = list(self._took.values())
        for alike in (_of_its_cell, _of_its_title, _of_its_kind):
            seconds = [took for other, took in known if alike(spec) == alike(other)]
            if seconds:
                return statistics.fmean(seconds)
        return statistics.fmean(took for _, took in known) if known else None

    def left(
        self, running: Iterable[float | None], pending: Sequence[TrialSpec], slots: int
    ) -> float | None:
        """Return the seconds until all trials have ended; None where nobody can tell yet.

        Args:
            running: seconds left of those under way.
            pending: those that have not begun.
            slots: how many run at once.
        """
        under_way = list(running)
        work = [*under_way, *map(self.expected, pending)]
        known = [one for one in work if one is not None]
        if len(known) < len(work):
            return None
        longest = max((one for one in under_way if one is not None), default=0.0)
        return max(sum(known) / max(slots, 1), longest)


def seconds_of(folder: TrialFolder) -> float | None:
    """Return how long a trial of an earlier submission took; None where its records do not say.

    What lies between two epochs may be a night in which nothing ran: their median counts.
    """
    result, history = folder.result(), folder.history()
    if result is None:
        return None
    ends = [epoch.ended for epoch in history]
    gaps = [after - before for before, after in pairwise(ends)]
    took = statistics.median(gaps) * len(ends) if gaps else result.ended - result.started
    return max(took / 1000, 0.0)


def _of_its_cell(spec: TrialSpec) -> tuple[str, ...]:
    return (spec.track, spec.title)


def _of_its_title(spec: TrialSpec) -> tuple[str, ...]:
    return (spec.title,)


def _of_its_kind(spec: TrialSpec) -> tuple[str, ...]:
    return (str(spec.budget is None), str(bool(spec.candidates)))
