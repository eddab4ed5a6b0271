"""The trials that a search has tried, in its folder: what it goes on from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from poise.experiments.grid import TrialSpec
from poise.experiments.records import SweepFolder, TrialResult
from poise.experiments.search.points import Points
from poise.experiments.space import Values


@dataclass(frozen=True)
class Tried:
    """A trial of a search.

    Attributes:
        values: of all that is searched.
        scores: on the validation subjects, after each epoch; smaller is better.
        result: how it ended; None while it has not.
    """

    spec: TrialSpec
    values: Values
    scores: tuple[float, ...]
    result: TrialResult | None

    @property
    def best(self) -> float | None:
        """The best of its scores; None where it has none, or failed."""
        failed = self.result is not None and self.result.status == "failed"
        return None if failed else min(self.scores, default=None)


class SearchTrials:
    """All trials of a search, in the order in which they were drawn."""

    def __init__(self, sweep: SweepFolder, points: Points) -> None:
        """Read what is in the folder; trials that the plan of today would not draw are left out."""
        self.sweep, self.points = sweep, points
        self._commit, self.origin = "", dict[str, str]()
        known = sweep.header()["trials"] if sweep.exists() else []
        self._keys = [key for key in known if self._read(key) is not None]

    def submit(self, commit: str, origin: Mapping[str, str]) -> None:
        """Write down what is submitted, and from where."""
        self._commit, self.origin = commit, dict(origin)
        self._save()

    def _save(self) -> None:
        self.sweep.begin(self.points.plan, self._keys, self._commit, self.origin)

    def announce(self, spec: TrialSpec) -> None:
        """Take up a trial whose folder is about to be."""
        self._keys.append(spec.key)
        self._save()

    def begin(self, spec: TrialSpec) -> None:
        """Begin a trial, unless it was begun before."""
        if spec.key not in self._keys:
            folder = self.sweep.trial(spec.key)
            folder.keep_facts("origin", self.origin)
            folder.begin(spec)
            self.announce(spec)

    def tried(self) -> list[Tried]:
        """Return all that were begun."""
        return list(self._tried())

    def find(self, key: str) -> Tried | None:
        """Return a trial; None where it was not begun."""
        return self._read(key) if key in self._keys else None

    @property
    def count(self) -> int:
        """How many were drawn."""
        return len(self._keys)

    def _tried(self) -> Iterator[Tried]:
        for key in self._keys:
            found = self._read(key)
            if found is not None:
                yield found

    def _read(self, key: str) -> Tried | None:
        folder = self.sweep.trial(key)
        spec = folder.spec()
        values = None if spec is None else self.points.values(spec)
        if spec is None or values is None:
            return None
        scores = tuple(epoch.metrics["score"] for epoch in folder.history())
        return Tried(spec, values, scores, folder.result())
