"""A sweep's folder: the truth about its trials, which MLflow only mirrors.

::

    <sweep>/sweep.json                  the plan and the keys of its trials
    <sweep>/sources/                    packages, and what nobody had committed, of submissions
    <sweep>/trials/<key>/spec.json      what the trial is
                         origin.json    the submission that began it: commit, command, lake
                         machine.json   where it ran
                         history.json   metrics of every finished epoch
                         state.safetensors  where training goes on
                         checkpoint/    the best weights on validation, or those of the refit
                         refit/         history and state of the refit on all training subjects
                         sequences.csv  test metrics per sequence, and whose it is
                         validation.csv the same of the held-out training subjects
                         pictures/      the worst and the median test sequence
                         beat.json      what its process is doing, while it runs
                         result.json    how it ended
    <sweep>/live.json                   what the process that runs the sweep is doing
    <sweep>/tables/                     tables and plot of the last submission

All writes are atomic, and in an order in which a kill between any two loses at most one epoch.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any, Literal, Self

from poise.evaluation.evaluate import Row
from poise.evaluation.scored import Scored, from_csv, to_csv
from poise.evaluation.tables import Entry
from poise.experiments.grid import TrialSpec
from poise.experiments.plan import Plan
from poise.runtime import storage
from poise.runtime.errors import PoiseError

NOTHING: Mapping[str, str] = MappingProxyType({})
Status = Literal["finished", "failed", "stopped"]


class SweepGoneError(PoiseError):
    """Somebody removed the folder of a sweep."""


def now_ms() -> int:
    """Return milliseconds since 1970, the clock of MLflow."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class Epoch:
    """Metrics of one epoch, and of the machine at its end.

    ``seconds`` is its own time, ``ended`` in milliseconds since 1970.
    """

    epoch: int
    ended: int
    seconds: float
    metrics: dict[str, float]
    system: dict[str, float] = field(default_factory=dict)

    @property
    def began(self) -> int:
        """When it began, in milliseconds since 1970."""
        return self.ended - int(self.seconds * 1000)


@dataclass(frozen=True)
class TrialResult:
    """How a trial ended.

    Attributes:
        status: finished; failed (``reason`` says why); stopped early by the scheduler.
        validation: metrics on the held-out training subjects, with ``score``: the mean of MPJPE
            and Accel, each relative to the input's. Smaller is better.
        held_out: those subjects.
        tested: the test people of a fold; none where the track's own test split was scored.
        row: test metrics; None unless finished.
        chosen: settings that were tuned; none where nothing was.
        device: it was trained on; empty in records of earlier versions.
    """

    status: Status
    started: int
    ended: int
    reason: str = ""
    validation: dict[str, float] | None = None
    held_out: tuple[str, ...] = ()
    row: Row | None = None
    chosen: Mapping[str, Any] = field(default_factory=dict)
    tested: tuple[str, ...] = ()
    device: str = ""

    def __post_init__(self) -> None:
        """Let it end no sooner than it began: clocks are set back, and machines differ."""
        object.__setattr__(self, "ended", max(self.started, self.ended))

    @property
    def choice(self) -> str:
        """What was tuned in words, for example ``sigma 4``."""
        return ", ".join(f"{name} {value:g}" for name, value in self.chosen.items())

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Self:
        """Make a result of what `dataclasses.asdict` returned."""
        row = given["row"] and Row(**given["row"])
        people = {name: tuple(given.get(name, ())) for name in ("held_out", "tested")}
        return cls(**{**given, "row": row, **people})


@dataclass(frozen=True)
class TrialFolder:
    """One trial's records, on any storage."""

    uri: str

    @property
    def checkpoint(self) -> str:
        """Folder of the best weights."""
        return storage.join(self.uri, "checkpoint")

    @property
    def sequences(self) -> str:
        """File of the test metrics per sequence."""
        return storage.join(self.uri, "sequences.csv")

    @property
    def beat(self) -> str:
        """File of what its process is doing."""
        return storage.join(self.uri, "beat.json")

    @property
    def validation(self) -> str:
        """File of the validation metrics per sequence."""
        return storage.join(self.uri, "validation.csv")

    @property
    def refit(self) -> "TrialFolder":
        """Records of the refit on all training subjects, a fit of its own."""
        return TrialFolder(storage.join(self.uri, "refit"))

    def save_sequences(self, sequences: Sequence[Scored]) -> None:
        """Write the test metrics per sequence."""
        storage.write_bytes(self.sequences, to_csv(sequences).encode())

    def save_validation(self, sequences: Sequence[Scored]) -> None:
        """Write the validation metrics per sequence."""
        storage.write_bytes(self.validation, to_csv(sequences).encode())

    @property
    def pictures(self) -> str:
        """Folder of drawn sequences."""
        return storage.join(self.uri, "pictures")

    def save_picture(self, name: str, png: bytes) -> None:
        """Write a drawn sequence."""
        storage.write_bytes(storage.join(self.pictures, f"{name}.png"), png)

    def scored(self) -> list[Scored]:
        """Return the test metrics per sequence; none before it was scored."""
        return _scored(self.sequences)

    def validated(self) -> list[Scored]:
        """Return the validation metrics per sequence; none in folders of earlier versions."""
        return _scored(self.validation)

    def begin(self, spec: TrialSpec) -> None:
        """Write what the trial is."""
        self._write("spec.json", spec.to_json())

    def spec(self) -> TrialSpec | None:
        """Return what the trial is; None before it began."""
        found = self._read("spec.json")
        return None if found is None else TrialSpec.from_json(found)

    def keep_facts(self, of: Literal["origin", "machine"], facts: Mapping[str, str]) -> None:
        """Write who began the trial, or where it runs."""
        self._write(f"{of}.json", dict(facts))

    def facts(self, of: Literal["origin", "machine"]) -> dict[str, str]:
        """Return what `keep_facts` wrote; nothing in folders of earlier versions."""
        return self._read(f"{of}.json") or {}

    def history(self) -> list[Epoch]:
        """Return the finished epochs, in order."""
        return [Epoch(**entry) for entry in self._read("history.json") or []]

    def save_epoch(self, history: Sequence[Epoch], state: bytes) -> None:
        """Write the epochs so far, then the training state after the last of them.

        In this order: a state ahead of the history would leave an epoch without its metrics.
        """
        self._write("history.json", [asdict(epoch) for epoch in history])
        storage.write_bytes(self._state, state)

    def state(self) -> bytes | None:
        """Return the training state to resume from; None where there is none."""
        return storage.read_bytes(self._state) if storage.exists(self._state) else None

    def hand_on(self, other: "TrialFolder") -> None:
        """Give another trial the weights, epochs and training state, to go on from them."""
        for name in storage.list_dir(self.checkpoint):
            content = storage.read_bytes(storage.join(self.checkpoint, name))
            storage.write_bytes(storage.join(other.checkpoint, name), content)
        other.save_epoch(self.history(), self.state() or b"")

    def finish(self, result: TrialResult) -> None:
        """Write how the trial ended; a finished one needs no training state any more."""
        self._write("result.json", asdict(result))
        storage.remove(self.beat)
        if result.status == "finished":
            storage.remove(self._state)
            storage.remove(self.refit._state)

    def result(self) -> TrialResult | None:
        """Return how the trial ended; None while it has not."""
        found = self._read("result.json")
        return None if found is None else TrialResult.from_json(found)

    def entry(self) -> Entry | None:
        """Return the trial as a row of the tables; None unless it finished."""
        spec, result = self.spec(), self.result()
        if spec is None or result is None or result.row is None:
            return None
        epochs = len(self.history()) if result.row.params else None
        fold = None if spec.fold is None else spec.fold.number
        # Every fold chooses for itself, and all are one row.
        choice = result.choice if fold is None else ""
        label = ": ".join(text for text in (spec.label, choice) if text)
        return Entry(result.row, label, epochs, fold, self.scored())

    def reopen(self) -> None:
        """Forget how the trial ended, so that it runs again from its last good epoch."""
        storage.remove(self.beat)
        storage.remove(storage.join(self.uri, "result.json"))

    @property
    def _state(self) -> str:
        return storage.join(self.uri, "state.safetensors")

    def _read(self, name: str) -> Any:
        path = storage.join(self.uri, name)
        return json.loads(storage.read_bytes(path)) if storage.exists(path) else None

    def _write(self, name: str, content: Any) -> None:
        text = json.dumps(content, indent=1)
        storage.write_bytes(storage.join(self.uri, name), text.encode())


def _scored(file: str) -> list[Scored]:
    return from_csv(storage.read_bytes(file).decode()) if storage.exists(file) else []


@dataclass(frozen=True)
class SweepFolder:
    """One plan's records, on any storage."""

    uri: str

    @property
    def name(self) -> str:
        """Name of the plan."""
        return self.uri.rstrip("/").rpartition("/")[2]

    def trial(self, key: str) -> TrialFolder:
        """Return the folder of a trial."""
        return TrialFolder(storage.join(self.uri, "trials", key))

    def begin(
        self,
        plan: Plan,
        keys: Sequence[str],
        commit: str,
        origin: Mapping[str, str] = NOTHING,
        absent: Mapping[str, str] = NOTHING,
    ) -> None:
        """Write what was submitted, from where, and why tracks of the plan have no trials."""
        content = {
            "plan": plan.model_dump(mode="json"),
            "trials": list(keys),
            "commit": commit,
            "origin": dict(origin),
            "absent": dict(absent),
        }
        storage.write_bytes(self._header, json.dumps(content, indent=1).encode())

    def header(self) -> dict[str, Any]:
        """Return what was submitted last: plan, trials (keys, in order), commit."""
        try:
            found: dict[str, Any] = json.loads(storage.read_bytes(self._header))
        except FileNotFoundError:
            raise SweepGoneError(
                f"{self._header}: is not there any more; whoever removed it ended this sweep, the "
                "same command makes it anew"
            ) from None
        return found

    def absent(self) -> dict[str, str]:
        """Return the tracks of the last submission's plan that have no trials, and why."""
        return dict(self.header().get("absent", {}))

    def exists(self) -> bool:
        """Say whether anything was ever submitted here."""
        return storage.exists(self._header)

    def entries(self) -> list[Entry]:
        """Return the table entries of the last submission's finished trials, in its order."""
        entries = [self.trial(key).entry() for key in self.header()["trials"]]
        return [entry for entry in entries if entry is not None]

    def write_source(self, name: str, content: bytes) -> None:
        """Write a file about the code of a submission under ``sources/``."""
        storage.write_bytes(storage.join(self.sources, name), content)

    @property
    def sources(self) -> str:
        """Folder of packages and diffs."""
        return storage.join(self.uri, "sources")

    def write_table(self, name: str, content: bytes) -> None:
        """Write one form of the rows (JSON, CSV, Markdown, plot) under ``tables/``."""
        storage.write_bytes(storage.join(self.uri, "tables", name), content)

    @property
    def live(self) -> str:
        """File of what the process that runs the sweep is doing."""
        return storage.join(self.uri, "live.json")

    @property
    def tables(self) -> str:
        """Folder of tables and plot."""
        return storage.join(self.uri, "tables")

    @property
    def _header(self) -> str:
        return storage.join(self.uri, "sweep.json")
