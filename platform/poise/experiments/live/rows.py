"""The table of a sweep while it fills: a row for each refiner on each track."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from poise.experiments.grid import TrialSpec
from poise.experiments.live.status import Running
from poise.experiments.records import TrialResult

HEADER = ["Track", "Refiner", "Trials", "MPJPE", "PA-MPJPE", "Accel", "Unit", "Now"]
#: Columns of words.
LEFT = (0, 1, 6, 7)


@dataclass(frozen=True)
class LiveRow:
    """One refiner on one track, over all seeds and folds that have ended.

    Attributes:
        track: the track.
        title: the refiner.
        done: trials that have ended.
        of: trials there are.
        failed: trials that ended without a result.
        mpjpe: mean over those with a result; None where there is none yet, as the next two.
        pa_mpjpe: the same.
        accel: the same.
        unit: of the errors.
        now: what its trials under way are doing.
    """

    track: str
    title: str
    done: int
    of: int
    failed: int
    mpjpe: float | None
    pa_mpjpe: float | None
    accel: float | None
    unit: str
    now: str

    @property
    def cells(self) -> list[str]:
        """The row as text, in the order of `HEADER`."""
        numbers = (self.mpjpe, self.pa_mpjpe, self.accel)
        failed = f", {self.failed} failed" if self.failed else ""
        return [
            self.track,
            self.title,
            f"{self.done}/{self.of}{failed}",
            *("" if number is None else f"{number:.2f}" for number in numbers),
            self.unit,
            self.now,
        ]


def live_rows(
    specs: Sequence[TrialSpec], results: Mapping[str, TrialResult], running: Sequence[Running]
) -> list[LiveRow]:
    """Return the rows of a sweep's trials, in the plan's order.

    Args:
        specs: all trials.
        results: of those that have ended, by key.
        running: those under way.
    """
    cells: dict[tuple[str, str], list[TrialSpec]] = {}
    for spec in specs:
        cells.setdefault((spec.track, spec.title), []).append(spec)
    return [
        _row(track, title, some, results, {one.key: one for one in running})
        for (track, title), some in cells.items()
    ]


def _row(
    track: str,
    title: str,
    specs: Sequence[TrialSpec],
    results: Mapping[str, TrialResult],
    running: Mapping[str, Running],
) -> LiveRow:
    ended = [results[spec.key] for spec in specs if spec.key in results]
    rows = [result.row for result in ended if result.row is not None]

    def mean(name: str) -> float | None:
        return statistics.fmean(getattr(row, name) for row in rows) if rows else None

    return LiveRow(
        track=track,
        title=title,
        done=len(ended),
        of=len(specs),
        failed=len(ended) - len(rows),
        mpjpe=mean("mpjpe"),
        pa_mpjpe=mean("pa_mpjpe"),
        accel=mean("accel"),
        unit=rows[0].unit if rows else "",
        now="; ".join(_now(spec, running[spec.key]) for spec in specs if spec.key in running),
    )


def _now(spec: TrialSpec, running: Running) -> str:
    fold = f", {spec.fold}" if spec.fold else ""
    return f"seed {spec.seed}{fold}: {running.where}"
