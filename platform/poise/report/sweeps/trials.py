"""A sweep's trials at one moment: what ended, what is on its way, what is to come."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from poise.evaluation.tables import Entry
from poise.experiments.grid import TrialSpec, grid
from poise.experiments.plan import Plan
from poise.experiments.records import Epoch, SweepFolder, TrialFolder, TrialResult
from poise.runtime.errors import DataError, PoiseError
from poise_models import catalogue
from poise_models.errors import RefinerError

State = Literal["finished", "failed", "stopped", "begun", "to come"]


@dataclass(frozen=True)
class Trial:
    """One trial as its folder has it.

    Attributes:
        entry: of the tables; None unless it finished.
    """

    spec: TrialSpec
    folder: TrialFolder
    history: Sequence[Epoch]
    result: TrialResult | None
    entry: Entry | None

    @property
    def state(self) -> State:
        """How far it is."""
        if self.result is not None:
            return self.result.status
        return "begun" if self.history else "to come"

    @property
    def seconds(self) -> float:
        """From its beginning to its end, 0 before that."""
        return 0.0 if self.result is None else (self.result.ended - self.result.started) / 1000


@dataclass(frozen=True)
class Method:
    """One row of a plan on one track: a refiner under a label, with all its seeds and folds."""

    track: str
    refiner: str
    label: str
    trials: Sequence[Trial]

    @property
    def title(self) -> str:
        """As the tables call it: with what was chosen for it, where that is one thing."""
        labels = {trial.entry.label for trial in self.trials if trial.entry}
        label = labels.pop() if len(labels) == 1 else self.label
        name = catalogue.title(self.refiner)
        return f"{name} ({label})" if label else name

    @property
    def finished(self) -> list[Trial]:
        """Those with a row."""
        return [trial for trial in self.trials if trial.entry is not None]

    @property
    def entries(self) -> list[Entry]:
        """Their rows."""
        return [trial.entry for trial in self.trials if trial.entry is not None]

    @property
    def seeds(self) -> list[int]:
        """Those that finished."""
        return sorted({trial.spec.seed for trial in self.finished})

    @property
    def folds(self) -> list[int]:
        """The same of folds; 0 where there are none."""
        return sorted({trial.spec.fold.number if trial.spec.fold else 0 for trial in self.finished})

    @property
    def progress(self) -> str:
        """How many of its trials are in the row, and what became of the others."""
        states = Counter(trial.state for trial in self.trials)
        done, count = states.pop("finished", 0), len(self.trials)
        if done == count:
            return ""
        others = ", ".join(f"{number} {state}" for state, number in states.items())
        return f"{done} of {count} trials, {others}"

    @property
    def reasons(self) -> list[str]:
        """Why trials have no row, each reason once."""
        found = [
            f"{trial.spec.name} {trial.result.status}: {trial.result.reason or 'no reason given'}"
            for trial in self.trials
            if trial.result is not None and trial.result.status != "finished"
        ]
        return list(dict.fromkeys(found))


@dataclass(frozen=True)
class Run:
    """A trial's run in MLflow; ``address`` is empty where no server shows it."""

    id: str
    address: str


@dataclass(frozen=True)
class Sweep:
    """A sweep at one moment.

    Attributes:
        name: of its plan.
        folder: its records.
        where: what a reader is told they were read from.
        header: what was submitted.
        trials: in the plan's order.
    """

    name: str
    folder: SweepFolder
    where: str
    header: dict[str, Any]
    trials: Sequence[Trial]

    @classmethod
    def read(cls, folder: SweepFolder) -> "Sweep":
        """Read a sweep's folder.

        Raises:
            DataError: it is none, or of a version whose records cannot be read.
        """
        if not folder.exists():
            raise DataError(f"{folder.uri} holds no sweep.json: it is no sweep's folder")
        try:
            header = folder.header()
            name, trials = str(header["plan"]["name"]), list(_trials(folder, header))
        except (KeyError, TypeError, ValueError, AttributeError):
            raise DataError(
                f"{folder.uri}: records that this version cannot read: use the one that wrote them"
            ) from None
        return cls(name, folder, folder.uri, header, trials)

    def named_as(self, where: str) -> "Sweep":
        """Return the same, said to be somewhere else."""
        return replace(self, where=where)

    @property
    def plan(self) -> dict[str, Any]:
        """The plan that was submitted."""
        plan: dict[str, Any] = self.header["plan"]
        return plan

    @property
    def finished(self) -> list[Trial]:
        """Trials with a row."""
        return [trial for trial in self.trials if trial.entry is not None]

    @property
    def tracks(self) -> list[str]:
        """Those of the plan, in its order, and any others that trials are of."""
        named = [*self.plan.get("tracks", []), *(trial.spec.track for trial in self.trials)]
        return list(dict.fromkeys(named))

    def methods(self, track: str) -> list[Method]:
        """Return the rows of a track, in the order of the catalogue of refiners."""
        groups: dict[tuple[str, str], list[Trial]] = {}
        for trial in self.trials:
            if trial.spec.track == track:
                groups.setdefault((trial.spec.refiner, trial.spec.label), []).append(trial)
        order = list(catalogue.names())
        keys = sorted(groups, key=lambda key: order.index(key[0]))
        return [Method(track, *key, groups[key]) for key in keys]


def _trials(folder: SweepFolder, header: Mapping[str, Any]) -> Iterator[Trial]:
    begun = {key: folder.trial(key).spec() for key in header["trials"]}
    planned = _planned(header, [spec for spec in begun.values() if spec])
    for key, known in begun.items():
        trial, spec = folder.trial(key), known or planned.get(key)
        if spec is not None:
            yield Trial(spec, trial, trial.history(), trial.result(), trial.entry())


def _planned(header: Mapping[str, Any], begun: Sequence[TrialSpec]) -> dict[str, TrialSpec]:
    """Return the trials of the plan by key: what nobody asked for in a part has no folder."""
    if len(begun) == len(header["trials"]):
        return {}
    manifests = {spec.track: spec.manifest for spec in begun}
    try:
        plan = Plan.model_validate(header["plan"])
        kept = [track for track in plan.tracks if track in manifests]
        specs = grid(plan.model_copy(update={"tracks": tuple(kept)}), manifests)
    except (ValueError, PoiseError, RefinerError):  # of another version of Poise
        return {}
    return {spec.key: spec for spec in specs}
