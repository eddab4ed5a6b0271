"""How long trials took before, from the records of finished ones."""

import itertools
import json
import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from poise.catalog.tracks import Track
from poise.evaluation.evaluate import Row
from poise.experiments.grid import TrialSpec
from poise.experiments.records import Epoch, SweepFolder, TrialResult
from poise.runtime import storage
from poise_models.base.budget import Budget

#: What two trials must share for one to take as long as the other: refiner, settings, numbers of a
#: frame, device.
_Kind = tuple[str, str, int, str]


@dataclass(frozen=True)
class Rates:
    """Medians over finished trials of a kind.

    Attributes:
        window: seconds of a network for one window of training, with what else an epoch takes:
            validation and records.
        frame: seconds for one test frame; of what is no network, with its fit.
    """

    window: Mapping[_Kind, float]
    frame: Mapping[_Kind, float]

    def seconds(
        self, spec: TrialSpec, device: str, windows: int | None, frames: int
    ) -> float | None:
        """Return how long a trial will take; None where nothing like it was ever measured.

        Args:
            spec: the trial.
            device: ``cpu`` or ``cuda``.
            windows: of training, see `windows_an_epoch`; None where nobody knows.
            frames: of the test split.
        """
        kind = _kind(spec, device)
        scoring = self.frame.get(kind)
        if scoring is None:
            return None
        if spec.budget is None:
            return scoring * frames
        window = self.window.get(kind)
        if window is None or windows is None:
            return None
        times = 2 if spec.refit else 1
        return scoring * frames + window * windows * spec.budget.epochs * times


def windows_an_epoch(budget: Budget, split: int | None) -> int | None:
    """Return how many windows an epoch trains on; None where the split's are not known.

    Args:
        budget: of the trial.
        split: windows of the training split.
    """
    if budget.steps_per_epoch:
        return budget.steps_per_epoch * budget.batch
    return split


def measured(sweeps: str, splits: Mapping[str, int]) -> Rates:
    """Read the records of every sweep in a folder.

    Args:
        sweeps: folder or URI of all sweeps.
        splits: windows of training splits, by the hash of their manifest.
    """
    window: dict[_Kind, list[float]] = {}
    frame: dict[_Kind, list[float]] = {}
    for spec, history, result, row in _finished(sweeps):
        kind = _kind(spec, result.device or "cpu")
        if spec.budget is None:
            fit = sum(epoch.seconds for epoch in history)
            frame.setdefault(kind, []).append((fit + row.seconds) / row.frames)
            continue
        frame.setdefault(kind, []).append(row.seconds / row.frames)
        windows = windows_an_epoch(spec.budget, splits.get(spec.manifest))
        if windows:
            window.setdefault(kind, []).append(_of_an_epoch(history) / windows)
    return Rates(_medians(window), _medians(frame))


def _finished(sweeps: str) -> Iterator[tuple[TrialSpec, Sequence[Epoch], TrialResult, Row]]:
    for name in storage.list_dir(sweeps):
        sweep = SweepFolder(storage.join(sweeps, name))
        for key in sweep.header()["trials"] if sweep.exists() else ():
            trial = sweep.trial(key)
            spec, result, history = trial.spec(), trial.result(), trial.history()
            if spec and history and result and result.row and result.row.frames:
                yield spec, history, result, result.row


def _of_an_epoch(history: Sequence[Epoch]) -> float:
    """Return the seconds from one epoch's end to the next one's.

    Between two of them a trial may have lain still, so it is the median, and where there are too
    few for that, what training alone took.
    """
    ends = [epoch.ended / 1000 for epoch in history]
    between = [after - before for before, after in itertools.pairwise(ends)]
    alone = statistics.fmean(epoch.seconds for epoch in history)
    return max(statistics.median(between), alone) if len(between) > 1 else alone


def _kind(spec: TrialSpec, device: str) -> _Kind:
    info = Track.parse(spec.track).info
    settings = json.dumps(spec.settings, sort_keys=True)
    # What is no network is fitted on a CPU wherever it is.
    where = device if spec.budget else "cpu"
    tuned = "tuned" * bool(spec.candidates)
    return f"{spec.refiner} {tuned}", settings, info.joints * info.dims, where


def _medians(found: Mapping[_Kind, Iterable[float]]) -> dict[_Kind, float]:
    medians = {kind: statistics.median(values) for kind, values in found.items()}
    return {kind: value for kind, value in medians.items() if math.isfinite(value)}
