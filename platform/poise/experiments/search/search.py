"""Run the search of a plan, from wherever its last submission ended."""

import contextlib
import logging
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, cast

from ray import tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import ASHAScheduler

from poise.catalog.tracks import Track
from poise.experiments.live.pulse import Pulse
from poise.experiments.mlflow_mirror import MlflowMirror
from poise.experiments.plan import Plan
from poise.experiments.records import SweepFolder
from poise.experiments.search.best import Best, best_of, best_plan, best_text, table, table_text
from poise.experiments.search.limits import Limits
from poise.experiments.search.member import METRIC, run_member
from poise.experiments.search.points import Points
from poise.experiments.search.population import Population
from poise.experiments.search.progress import SearchProgress
from poise.experiments.search.suggestions import Suggestions
from poise.experiments.search.trials import SearchTrials
from poise.experiments.shared_splits import shared_splits
from poise.experiments.submission.checks import checked_grid
from poise.experiments.submission.selection import Selection
from poise.experiments.sweep import check_name, keep_source, published, submitted
from poise.experiments.trial import TrialSetup
from poise.experiments.tuning import (
    MAX_FAILURES,
    placed,
    quiet_tune,
    sigterm_stops,
    trial_resources,
)
from poise.lake.manifest import Manifest, manifest_hash, read_manifest
from poise.runtime import storage
from poise.runtime.errors import PlanError
from poise.runtime.locks import exclusive
from poise.runtime.ray_cluster.join import connect
from poise.runtime.ray_cluster.nodes import see_that_nodes_share

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SearchResult:
    """What a submission of a search ended with.

    Attributes:
        header: of the trials' table.
        rows: all trials, best first.
        best: None where no trial has a score.
        plan: the file of the best plan; empty where there is none.
        notes: what ended it early, and what could not be published.
    """

    header: list[str]
    rows: list[list[str]]
    best: Best | None
    plan: str
    notes: list[str]


def run_search(
    plan: Plan,
    lake: str,
    sweeps: str,
    tracking_uri: str,
    artifacts: str | None = None,
    publish_every: float = 10.0,
) -> SearchResult:
    """Search on, and write the best settings as a plan, ``<sweeps>/<plan.name>/best.yaml``.

    Trials that ended are not run again, those that were cut off go on from their last epoch. No
    trial has the test split within reach.

    Args:
        plan: has a ``search`` part.
        lake: the data lake, with the plan's track in it.
        sweeps: folder or URI of all sweeps. On a cluster of several machines it must be storage
            that all of them reach.
        tracking_uri: of MLflow.
        artifacts: where a new MLflow experiment keeps artifacts; None leaves it to the server.
        publish_every: seconds between two visits to MLflow.

    Raises:
        BusyError: another submission of the plan is running.
        LakeError: the track is not in the lake.
        PlanError: the network cannot have what is to be drawn; or as `run_sweep` says.
        KeyboardInterrupt: the user stopped it; everything was brought to rest first.
    """
    manifests = {t: read_manifest(lake, Track.parse(t)) for t in plan.tracks}
    checked_grid(plan, manifests, Selection())
    points = Points(plan, {track: manifest_hash(found) for track, found in manifests.items()})
    sweep = SweepFolder(storage.join(sweeps, plan.name))
    with exclusive(sweep.uri), contextlib.ExitStack() as cluster:
        check_name(sweep, plan)
        trials = SearchTrials(sweep, points)
        limits = Limits(sweep, points.search)
        left = _left(trials)
        log.info(f"search {plan.name}: {_so_far(trials)}")
        resources: dict[str, float] = {}
        if left and not limits.spent:
            # A plan that cannot run is refused before anything is written.
            cluster.enter_context(connect())
            see_that_nodes_share({"--storage": sweep.uri, "--lake": lake})
            resources = trial_resources(plan)
            if points.search.gpu_hours and not resources.get("gpu"):
                raise PlanError("search.gpu_hours: there is no GPU here, and no hours would pass")
        trials.submit(*keep_source(sweep, lake))
        tried = {one.spec.key: one for one in trials.tried()}
        ended = {key: one.result for key, one in tried.items() if one.result is not None}
        with (
            Pulse(sweep, [one.spec for one in tried.values()], ended) as pulse,
            published(MlflowMirror(sweep, tracking_uri, artifacts), [], publish_every) as notes,
        ):
            if resources:
                with cluster:
                    _run(trials, limits, left, resources, lake, pulse)
            pulse.publishes()
            if limits.spent:
                notes.append(f"{limits.spent}; to go on, raise the limit in the plan")
            best, file = _write(trials)
        header, rows = table(trials.tried())
        return SearchResult(header, rows, best, file, notes)


def republish_search(
    sweeps: str, name: str, tracking_uri: str, artifacts: str | None = None
) -> SearchResult:
    """Send to MLflow what a search holds, without trying anything; nothing is promoted.

    Args:
        sweeps: folder or URI of all sweeps.
        name: of the search's plan.
        tracking_uri: of MLflow.
        artifacts: where a new MLflow experiment keeps artifacts; None leaves it to the server.

    Raises:
        BusyError: a submission of the search is running; it publishes by itself.
        PlanError: no trial of it was begun.
    """
    sweep = submitted(sweeps, name)
    with exclusive(sweep.uri):
        header = sweep.header()
        specs = [spec for key in header["trials"] if (spec := sweep.trial(key).spec())]
        if not specs:
            raise PlanError(f"{sweep.uri} holds nothing to publish: no trial was begun")
        # The plan of then: that of now may have other budgets, and would draw other trials.
        plan = Plan.model_validate(header["plan"])
        trials = SearchTrials(sweep, Points(plan, {spec.track: spec.manifest for spec in specs}))
        with published(MlflowMirror(sweep, tracking_uri, artifacts), [], 3600.0) as notes:
            best, file = _write(trials)
        return SearchResult(*table(trials.tried()), best, file, notes)


def so_far(plan: Plan, manifests: Mapping[str, Manifest], sweeps: str) -> str:
    """Say how many trials of a search have ended, and how many are left."""
    there = {track: manifest_hash(found) for track, found in manifests.items()}
    if set(plan.tracks) - set(there):
        return "nothing tried yet"
    return _so_far(SearchTrials(SweepFolder(storage.join(sweeps, plan.name)), Points(plan, there)))


def _left(trials: SearchTrials) -> int:
    """Return how many trials are to be run, -1 for as many as the time allows."""
    search, tried = trials.points.search, trials.tried()
    waiting = sum(one.result is None for one in tried)
    if search.method == "pbt":
        return waiting or (search.trials or 0) * (not tried)
    if search.trials is None:
        return -1
    return max(search.trials - len(tried) + waiting, 0)


def _so_far(trials: SearchTrials) -> str:
    tried, left = trials.tried(), _left(trials)
    ended = sum(one.result is not None for one in tried)
    more = f"{left} to run" if left >= 0 else "more to run until the time is over"
    return f"{ended} trials ended before, {len(tried) - ended} were cut off and go on, {more}"


def _run(
    trials: SearchTrials,
    limits: Limits,
    left: int,
    resources: dict[str, float],
    lake: str,
    pulse: Pulse,
) -> None:
    plan, search, sweep = trials.points.plan, trials.points.search, trials.sweep
    population = Population(trials) if search.method == "pbt" else None
    workers = plan.resources.workers
    progress = SearchProgress(trials, limits, workers * resources.get("gpu", 0.0), pulse)
    with (
        _scratch(sweep, shared=population is not None) as scratch,
        shared_splits(storage.absolute(lake)) as source,
        quiet_tune(),
        sigterm_stops(),
    ):
        space: dict[str, Any] = {
            "sweep": storage.absolute(sweep.uri),
            "setup": TrialSetup(
                source=replace(source, blind=True),
                cpus=resources["cpu"],
                gpus=resources.get("gpu", 0.0),
                stream_gb=plan.resources.stream_gb,
                workers=workers,
            ),
            "copies": population is not None,
        }
        if population is not None:
            how = tune.TuneConfig(scheduler=population.scheduler(), reuse_actors=True)
            space |= population.param_space()
        else:
            scheduler = _asha(trials) if search.method == "asha" else None
            how = tune.TuneConfig(
                search_alg=Suggestions(trials),
                scheduler=scheduler,
                num_samples=left,
                reuse_actors=True,
            )
        limits.begin()
        try:
            tune.Tuner(
                tune.with_resources(run_member, placed(resources, workers)),
                param_space=space,
                tune_config=how,
                run_config=tune.RunConfig(
                    name=plan.name,
                    storage_path=scratch,
                    verbose=0,
                    callbacks=[progress],
                    stop=limits,
                    failure_config=tune.FailureConfig(max_failures=MAX_FAILURES),
                ),
            ).fit()
        finally:
            limits.save()
    # Tune turns Ctrl-C into an orderly stop of its own, and returns as if nothing had happened.
    if limits.spent:
        progress.stop_open()
    elif progress.open:
        raise KeyboardInterrupt


@contextlib.contextmanager
def _scratch(sweep: SweepFolder, shared: bool) -> Iterator[str]:
    """A folder for what Tune keeps; members of a population copy each other through it."""
    if not shared:
        with tempfile.TemporaryDirectory(prefix="poise-tune-") as scratch:
            yield scratch
        return
    scratch = storage.join(storage.absolute(sweep.uri), "tune")
    try:
        yield scratch
    finally:
        storage.remove_folder(scratch)


def _asha(trials: SearchTrials) -> ASHAScheduler:
    """Return the scheduler, with the epochs of trials that ended in its rungs."""
    # One more than any trial has: a trial that reaches max_t would be stopped untested.
    most = trials.points.epochs + 1
    scheduler = ASHAScheduler(
        time_attr="epoch", metric=METRIC, mode="min", max_t=most, grace_period=-(-most // 9)
    )
    for one in trials.tried():
        if one.result is None:
            continue
        past = cast(Trial, SimpleNamespace(trial_id=one.spec.key))
        scheduler.on_trial_add(cast(Any, None), past)
        for epoch in range(1, len(one.scores) + 1):
            told = {"epoch": epoch, METRIC: min(one.scores[:epoch])}
            scheduler.on_trial_result(cast(Any, None), past, told)
    return scheduler


def _write(trials: SearchTrials) -> tuple[Best | None, str]:
    """Write the table, and the best settings as a plan; return these and its file."""
    sweep, tried = trials.sweep, trials.tried()
    best = best_of(sweep, tried)
    if tried:
        sweep.write_table("table.md", table_text(tried).encode())
    if best is None:
        return None, ""
    file = storage.join(sweep.uri, "best.yaml")
    plan = best_plan(trials.points, best, trials.points.plan.name)
    storage.write_bytes(file, best_text(plan, best, f"poise sweep --plan {file}").encode())
    return best, file
