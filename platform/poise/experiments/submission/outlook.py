"""What a submission would do: its grid, what of it is done, and how long the rest takes."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch

from poise.experiments.grid import TrialSpec
from poise.experiments.plan import Plan, ResourcesPart
from poise.experiments.records import SweepFolder
from poise.experiments.submission.checks import checked_grid
from poise.experiments.submission.rates import Rates, measured, windows_an_epoch
from poise.experiments.submission.selection import Selection, State, state
from poise.lake.manifest import Manifest, manifest_hash
from poise.runtime import storage
from poise.runtime.ray_cluster.join import available_cpus
from poise.runtime.settings import Settings


@dataclass(frozen=True)
class TrackOutlook:
    """A track of a plan.

    Attributes:
        where: in words, whether its data are there.
        windows: of its training split; None before it is in the lake, as are ``frames``.
        frames: of what is tested in a trial, as a mean over folds.
    """

    track: str
    where: str
    windows: int | None = None
    frames: int | None = None


@dataclass(frozen=True)
class TrialOutlook:
    """A trial of a plan.

    Attributes:
        state: what became of it.
        selected: whether it is in the part of the plan that is asked for.
        runs: whether this submission would run it.
        seconds: how long that will take; None where nothing like it was measured, or it does not.
        windows: of training in an epoch; None of what is no network, and where nobody knows yet.
    """

    spec: TrialSpec
    state: State
    selected: bool
    runs: bool
    seconds: float | None
    windows: int | None


@dataclass(frozen=True)
class Outlook:
    """A submission before it starts; ``missing`` are sentences about what it will lack."""

    plan: Plan
    sweep: str
    tracks: Sequence[TrackOutlook]
    trials: Sequence[TrialOutlook]
    missing: Sequence[str]

    @cached_property
    def running(self) -> list[TrialOutlook]:
        """The trials that it would run."""
        return [trial for trial in self.trials if trial.runs]

    @property
    def at_once(self) -> int | None:
        """How many trials run at once on this machine; None on a cluster, which is not asked."""
        return _slots(self.plan.resources) if _alone() else None


def outlook(
    plan: Plan,
    manifests: Mapping[str, Manifest],
    absent: Mapping[str, str],
    sweeps: str,
    selection: Selection,
) -> Outlook:
    """Look at what a submission would do, without doing any of it.

    Args:
        plan: what would be run.
        manifests: of its tracks that are in the lake.
        absent: its tracks without data, and why.
        sweeps: folder or URI of all sweeps, whose records say how long trials take.
        selection: which part of the plan.

    Raises:
        PlanError: see `checked_grid`.
    """
    specs = checked_grid(plan, manifests, selection)
    sweep = SweepFolder(storage.join(sweeps, plan.name))
    tracks = {track: _track(plan, track, manifests, absent) for track in plan.tracks}
    splits = {manifest_hash(found): _train_windows(found) for found in manifests.values()}
    rates = measured(sweeps, splits)
    device = _device(plan.resources)
    trials = []
    for spec in specs:
        became = state(sweep, spec) if spec.track in manifests else "missing"
        one = TrialOutlook(spec, became, selection.takes(spec), False, None, None)
        runs = one.selected and selection.wants(became) and spec.track not in absent
        trials.append(_timed(replace(one, runs=runs), tracks[spec.track], rates, device))
    missing = [f"{track}: {why}" for track, why in absent.items()]
    missing += [text] if (text := lacking_gpu(plan)) else []
    return Outlook(plan, sweep.uri, list(tracks.values()), trials, missing)


def lacking_gpu(plan: Plan) -> str:
    """Say that a plan wants GPUs and this machine has none; empty where it has, or is not alone."""
    wanted = plan.resources
    if not wanted.gpu or wanted.cpu_ok or not _alone() or torch.cuda.is_available():
        return ""
    return (
        f"{wanted.gpu:g} GPU a trial: there is none here. Run it on a cluster with GPUs; or train "
        "on the CPU, which may take days, with --cpu-ok"
    )


def _track(
    plan: Plan, track: str, manifests: Mapping[str, Manifest], absent: Collection[str]
) -> TrackOutlook:
    if track not in manifests:
        return TrackOutlook(track, "no data" if track in absent else "will be ingested first")
    splits = manifests[track].splits
    folds = plan.validation.folds
    if folds:
        windows = sum(split.windows for split in splits.values()) * (folds - 1) // folds
        frames = sum(split.frames for split in splits.values()) // folds
    else:
        windows = _train_windows(manifests[track])
        frames = splits["test"].frames if "test" in splits else 0
    return TrackOutlook(track, "in the lake", windows, frames)


def _timed(trial: TrialOutlook, track: TrackOutlook, rates: Rates, device: str) -> TrialOutlook:
    budget = trial.spec.budget
    windows = None if budget is None else windows_an_epoch(budget, track.windows)
    seconds = None
    if trial.runs and track.frames is not None:
        seconds = rates.seconds(trial.spec, device, windows, track.frames)
    return replace(trial, seconds=seconds, windows=windows)


def _train_windows(manifest: Manifest) -> int:
    return manifest.splits["train"].windows if "train" in manifest.splits else 0


def _device(resources: ResourcesPart) -> str:
    here = torch.cuda.is_available()
    return "cuda" if resources.gpu and (here or not resources.cpu_ok) else "cpu"


def _alone() -> bool:
    """Say whether trials will run on this machine only, and not on a cluster that it joins."""
    return Settings.current().ray_address in (None, "local")


def _slots(resources: ResourcesPart) -> int:
    cpus = available_cpus()
    slots = [max(cpus / min(resources.cpu, cpus) / resources.workers, 1)]
    if resources.gpu and torch.cuda.is_available():
        slots.append(torch.cuda.device_count() / resources.gpu / resources.workers)
    return max(math.floor(min(slots)), 1)
