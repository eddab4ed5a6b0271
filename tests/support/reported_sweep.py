"""A sweep's folder with figures written by hand, for the tests of reports."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from poise.evaluation.evaluate import Row
from poise.evaluation.metrics import PoseErrors
from poise.evaluation.scored import Scored
from poise.experiments.grid import TrialSpec, grid
from poise.experiments.plan import Plan
from poise.experiments.records import Epoch, SweepFolder, TrialResult
from poise_models import catalogue

#: In the paper, with figures of its own.
TRACK = "h36m/fcn/3D"
PEOPLE = ("S1", "S2", "S3", "S4", "S5", "S6")
_MS = 1_700_000_000_000


def begun(home: Path, refiners: Sequence[Any], name: str = "made", **more: Any) -> SweepFolder:
    """Begin a sweep in a home: every trial has its folder, none has run."""
    given = {"name": name, "tracks": [TRACK], "refiners": list(refiners), "seeds": [0, 1]}
    plan = Plan.model_validate({**given, "budget": {"epochs": 2, "steps_per_epoch": 5}, **more})
    specs = grid(plan, dict.fromkeys(plan.tracks, "cafe"))
    folder = SweepFolder(str(home / "sweeps" / name))
    folder.begin(plan, [spec.key for spec in specs], "0123abcd")
    for spec in specs:
        folder.trial(spec.key).begin(spec)
    return folder


def specs_of(folder: SweepFolder) -> list[TrialSpec]:
    """Return the trials of a sweep, in its order."""
    found = [folder.trial(key).spec() for key in folder.header()["trials"]]
    return [spec for spec in found if spec is not None]


def finish(folder: SweepFolder, spec: TrialSpec, mpjpe: Sequence[float], accel: float) -> None:
    """Write down how a trial ended: its MPJPE for each of `PEOPLE`, 100 frames each."""
    trial = folder.trial(spec.key)
    errors = [PoseErrors(one, one / 2, accel, accel, 100) for one in mpjpe]
    scored = [Scored(f"{who}/walk/01", who, one) for who, one in zip(PEOPLE, errors, strict=True)]
    trial.save_sequences(scored)
    trains = catalogue.trains(spec.refiner)
    trial.save_epoch([_epoch(number) for number in (1, 2)] if trains else [_epoch(1)], b"")
    mean, params = sum(mpjpe) / len(mpjpe), 1000 if trains else 0
    row = Row(
        spec.track, spec.refiner, spec.seed, mean, mean / 2, accel, accel, 600, params, 2.0, "mm"
    )
    trial.finish(
        TrialResult(
            "finished", _MS, _MS + 2000, "", {"score": 0.5, "mpjpe": 51.0}, ("S8",), row,
            spec.candidates[0] if spec.candidates else {},
        )
    )  # fmt: skip


def fail(folder: SweepFolder, spec: TrialSpec, reason: str) -> None:
    """Write down that a trial failed."""
    folder.trial(spec.key).finish(TrialResult("failed", _MS, _MS + 1000, reason))


def finish_all(folder: SweepFolder, figures: Mapping[str, tuple[Sequence[float], float]]) -> None:
    """Finish all trials of the refiners that are named; a seed is worse by its number."""
    for spec in specs_of(folder):
        if spec.refiner in figures:
            mpjpe, accel = figures[spec.refiner]
            finish(folder, spec, [one + spec.seed for one in mpjpe], accel)


def _epoch(number: int) -> Epoch:
    metrics = {"loss": 1 / number, "score": 1 / number, "mpjpe": 50 / number, "accel": 2 / number}
    return Epoch(number, _MS + 1000 * number, 1.0, metrics)
