"""Which trials of a plan a submission runs; their keys are those of the whole plan."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from poise.experiments.grid import TrialSpec
from poise.experiments.records import SweepFolder

#: ``begun`` has records, and no end yet: it is running, or was interrupted.
State = Literal["finished", "stopped", "failed", "begun", "missing"]
Only = Literal["failed", "missing"]


@dataclass(frozen=True)
class Selection:
    """A part of a plan's grid; everything by default.

    Attributes:
        tracks: patterns such as ``h36m/*``, one of which a trial's track fits; none takes all.
        refiners: the same of its refiner's name, or of name and label: ``synspp (7 all)``.
        seeds: of networks, those below this number.
        only: trials that failed, or those that have not ended; both where it is None.
    """

    tracks: tuple[str, ...] = ()
    refiners: tuple[str, ...] = ()
    seeds: int | None = None
    only: Only | None = None

    def takes(self, spec: TrialSpec) -> bool:
        """Say whether a trial is in that part, whatever became of it."""
        names = [spec.refiner, f"{spec.refiner} ({spec.label})"]
        return (
            _fits(self.tracks, [spec.track])
            and _fits(self.refiners, names)
            and (self.seeds is None or spec.budget is None or spec.seed < self.seeds)
        )

    def wants(self, state: State) -> bool:
        """Say whether a trial in that state is to be run."""
        if state in ("finished", "stopped"):
            return False
        return self.only is None or (state == "failed") == (self.only == "failed")

    def runs(self, sweep: SweepFolder, spec: TrialSpec) -> bool:
        """Say whether a trial is to be run, with what a sweep's folder has of it."""
        return self.takes(spec) and self.wants(state(sweep, spec))

    def problems(self, specs: Sequence[TrialSpec]) -> Iterator[str]:
        """Say of every pattern that no trial fits what there is."""
        tracks = list(dict.fromkeys(spec.track for spec in specs))
        refiners = list(dict.fromkeys(spec.refiner for spec in specs))
        labelled = [f"{spec.refiner} ({spec.label})" for spec in specs]
        for option, patterns, offered, names in (
            ("--tracks", self.tracks, tracks, tracks),
            ("--refiners", self.refiners, refiners, [*refiners, *labelled]),
        ):
            for pattern in patterns:
                if not any(fnmatchcase(name, pattern) for name in names):
                    yield f"{option}: the plan has no {pattern!r}; it has {', '.join(offered)}"


EVERYTHING = Selection()


def state(sweep: SweepFolder, spec: TrialSpec) -> State:
    """Return what became of a trial in a sweep's folder."""
    folder = sweep.trial(spec.key)
    result = folder.result()
    if result is not None:
        return result.status
    return "missing" if folder.spec() is None else "begun"


def _fits(patterns: Sequence[str], names: Sequence[str]) -> bool:
    return not patterns or any(fnmatchcase(name, p) for p in patterns for name in names)
