"""A trial's heartbeat: what its process is doing, written into its folder every few seconds."""

import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Self

from poise.experiments.grid import TrialSpec
from poise.experiments.records import TrialFolder
from poise.runtime import storage
from poise.runtime.activity import Activity, now
from poise.runtime.ticking import every_few_seconds

#: Seconds between two beats, and between two looks at them.
EVERY_S = 5.0
#: Stages of a trial.
TRAINING, TUNING = "training", "tuning"
REFITTING, SCORING = "training on all subjects", "scoring"
#: What scoring takes, as a part of a fit.
_SCORING = 0.05


@dataclass(frozen=True)
class Beat:
    """One heartbeat.

    Attributes:
        number: counts them. That it grows says that the process lives, whatever clocks say.
        host: machine of the process.
        pid: the process.
        activity: what it is doing.
    """

    number: int
    host: str
    pid: int
    activity: Activity

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Self:
        """Make a beat of what `dataclasses.asdict` returned."""
        return cls(**{**given, "activity": Activity(**given["activity"])})


def fraction(spec: TrialSpec, at: Activity) -> float:
    """Return how much of a trial is done, from 0 to 1."""
    inner = at.done / at.of if at.of else 0.0
    if at.turn == "epoch":
        # Where sequences are counted, all steps of the epoch are done.
        inner = inner if at.part == "step" else float(bool(at.part))
    within = (at.number - 1 + inner) / at.turns if at.turns else 0.0
    fits = 2 if spec.refit else 1
    done = {
        TRAINING: within,
        TUNING: within,
        REFITTING: 1 + within,
        SCORING: fits + _SCORING * inner,
    }
    return done.get(at.stage, 0.0) / (fits + _SCORING)


@contextmanager
def beating(folder: TrialFolder, every: float = EVERY_S) -> Iterator[None]:
    """Say in a trial's folder what this process does inside the block."""

    def write(number: int) -> None:
        beat = Beat(number, socket.gethostname(), os.getpid(), now())
        storage.write_bytes(folder.beat, json.dumps(asdict(beat)).encode())

    with every_few_seconds(write, every, "poise-beat"):
        yield


def read_beat(folder: TrialFolder) -> Beat | None:
    """Return a trial's last heartbeat; None where there is none."""
    try:
        return Beat.from_json(json.loads(storage.read_bytes(folder.beat)))
    # Of another version, perhaps; or the storage does not answer now.
    except Exception:
        return None
