"""Run a plan's grid on Ray Tune, from wherever the last submission of it ended."""

import contextlib
import json
import logging
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler

from poise.catalog.tracks import Track
from poise.evaluation.plots import precision_plot
from poise.evaluation.tables import Entry, csv_text, markdown
from poise.experiments.background_publisher import BackgroundPublisher
from poise.experiments.grid import TrialSpec, grid
from poise.experiments.mlflow_mirror import MlflowMirror
from poise.experiments.plan import Plan, ResourcesPart
from poise.experiments.progress import Progress
from poise.experiments.promote import promote_best
from poise.experiments.records import SweepFolder
from poise.experiments.trial import held_out, train_and_score
from poise.lake.manifest import Manifest, manifest_hash, read_manifest
from poise.runtime import storage
from poise.runtime.cluster import connect
from poise.runtime.errors import PlanError
from poise.runtime.locks import exclusive
from poise.runtime.settings import Settings

log = logging.getLogger(__name__)

_MAX_FAILURES = 2
_PATIENCE_S, _PATIENCE_INTERRUPTED_S = 180.0, 30.0


@dataclass(frozen=True)
class SweepResult:
    """What a submission ended with.

    Attributes:
        entries: one a finished trial, in the plan's order.
        failures: trial and reason.
        notes: what happened in the registry, and what could not be published.
    """

    entries: list[Entry]
    failures: list[tuple[str, str]]
    notes: list[str]


def run_sweep(
    plan: Plan,
    lake: str,
    sweeps: str,
    tracking_uri: str,
    artifacts: str | None = None,
    publish_every: float = 10.0,
) -> SweepResult:
    """Run the trials of a plan that have not finished yet, and publish all of them.

    Finished trials are reused, interrupted ones go on from their last
    epoch, failed ones are tried again.

    Args:
        plan: what to run.
        lake: the data lake, with the plan's tracks in it.
        sweeps: folder or URI of all sweeps; this one's is ``<sweeps>/<plan.name>``. On a cluster
            of several machines it must be storage that all of them reach.
        tracking_uri: of MLflow.
        artifacts: where a new MLflow experiment keeps artifacts; None leaves it to the server.
        publish_every: seconds between two visits to MLflow.

    Raises:
        BusyError: another submission of the plan is running.
        PlanError: subjects that the plan holds out are not there.
        KeyboardInterrupt: the user stopped it; everything was brought to rest first.
    """
    manifests = {t: read_manifest(lake, Track.parse(t)) for t in plan.tracks}
    _check_held_out(plan, manifests)
    specs = grid(plan, {track: manifest_hash(found) for track, found in manifests.items()})
    sweep = SweepFolder(storage.join(sweeps, plan.name))
    with exclusive(sweep.uri):
        sweep.begin(plan, [spec.key for spec in specs], _commit())
        pending = [spec for spec in specs if _open(sweep, spec)]
        log.info(
            "sweep %s: %d trials, %d finished before and reused, %d to run",
            plan.name, len(specs), len(specs) - len(pending), len(pending),
        )  # fmt: skip
        with _published(sweep, specs, tracking_uri, artifacts, publish_every) as notes:
            if pending:
                with connect():
                    _run(plan, pending, sweep, lake)
            _write_tables(sweep)
        return _result(sweep, specs, notes)


def _check_held_out(plan: Plan, manifests: Mapping[str, Manifest]) -> None:
    """Refuse named subjects that are not there now, and not in every trial by itself."""
    if plan.validation.subjects == "auto":
        return
    for track, manifest in manifests.items():
        if "train" in manifest.splits:
            subjects = manifest.splits["train"].subjects
            held_out(plan.validation.subjects, Track.parse(track), subjects)


def republish(
    plan: Plan, sweeps: str, tracking_uri: str, artifacts: str | None = None
) -> SweepResult:
    """Send to MLflow what the plan's sweep holds, without training anything.

    Raises:
        BusyError: a submission of the plan is running; it publishes by itself.
        PlanError: the plan was never submitted.
    """
    sweep = SweepFolder(storage.join(sweeps, plan.name))
    if not sweep.exists():
        raise PlanError(f"{sweep.uri} holds nothing to publish: the plan was never submitted there")
    with exclusive(sweep.uri):
        specs = [spec for key in sweep.header()["trials"] if (spec := sweep.trial(key).spec())]
        with _published(sweep, specs, tracking_uri, artifacts, 3600.0) as notes:
            pass
        return _result(sweep, specs, notes)


def _open(sweep: SweepFolder, spec: TrialSpec) -> bool:
    folder = sweep.trial(spec.key)
    result = folder.result()
    if result is not None and result.status != "failed":
        return False
    if result is not None:
        folder.reopen()
    folder.begin(spec)
    return True


@contextlib.contextmanager
def _published(
    sweep: SweepFolder,
    specs: Sequence[TrialSpec],
    tracking_uri: str,
    artifacts: str | None,
    every: float,
) -> Iterator[list[str]]:
    mirror = MlflowMirror(sweep, tracking_uri, artifacts)
    promoted: list[str] = []
    whole = False

    def publish(running: bool) -> None:
        mirror.publish(running)
        if whole and not running:
            promoted.extend(promote_best(mirror, specs))

    publisher = BackgroundPublisher(publish, every, tracking_uri)
    publisher.start()
    notes: list[str] = []
    try:
        yield notes
        whole = True
    finally:
        problem = publisher.finish(_PATIENCE_S if whole else _PATIENCE_INTERRUPTED_S)
        if problem:
            notes.append(
                f"MLflow is not up to date ({problem}). Every number is in {sweep.uri}; "
                "the next submission of this plan sends it, or now: jobs/sweep.py --publish-only"
            )
        notes.extend(promoted)


def _run(plan: Plan, pending: Sequence[TrialSpec], sweep: SweepFolder, lake: str) -> None:
    resources = _affordable(plan.resources)
    epochs = [spec.budget.epochs for spec in pending if spec.budget is not None]
    scheduler = None
    if plan.scheduler == "asha" and epochs:
        # One more than any trial has: a trial that reaches max_t would be stopped unscored.
        most = max(epochs) + 1
        scheduler = ASHAScheduler(
            time_attr="epoch", metric="score", mode="min", max_t=most, grace_period=-(-most // 9)
        )
    progress = Progress(sweep, pending)
    # Tune's own state is of no use: every trial resumes from its own folder.
    with (
        tempfile.TemporaryDirectory(prefix="poise-tune-") as scratch,
        _quiet_tune(),
        _sigterm_stops(),
    ):
        tune.Tuner(
            tune.with_resources(_trial, resources),
            param_space={
                "key": tune.grid_search([spec.key for spec in pending]),
                "sweep": _absolute(sweep.uri),
                "lake": _absolute(lake),
                "cpus": resources["cpu"],
                "gpus": resources.get("gpu", 0.0),
                "stream_gb": plan.resources.stream_gb,
            },
            tune_config=tune.TuneConfig(
                scheduler=scheduler,
                reuse_actors=True,
                trial_name_creator=lambda trial: str(trial.config["key"]),
                trial_dirname_creator=lambda trial: str(trial.config["key"]),
            ),
            run_config=tune.RunConfig(
                name=plan.name,
                storage_path=scratch,
                verbose=0,
                callbacks=[progress],
                failure_config=tune.FailureConfig(max_failures=_MAX_FAILURES),
            ),
        ).fit()
    # Tune turns Ctrl-C into an orderly stop of its own, and returns as if nothing had happened.
    if progress.open:
        raise KeyboardInterrupt


def _trial(config: dict[str, Any]) -> None:
    folder = SweepFolder(config["sweep"]).trial(config["key"])
    cpus, gpus, stream_gb = (config[name] for name in ("cpus", "gpus", "stream_gb"))
    train_and_score(folder, config["lake"], cpus, gpus, tune.report, stream_gb)


def _affordable(wanted: ResourcesPart) -> dict[str, float]:
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cpu, gpu = wanted.cpu, wanted.gpu
    most = max((node.get("CPU", 0.0) for node in nodes), default=0.0)
    if 0 < most < cpu:
        log.warning("no machine has %g CPUs: every trial takes %g", cpu, most)
        cpu = most
    if gpu and not any(node.get("GPU", 0.0) for node in nodes):
        log.warning(
            "the plan asks for %g GPU a trial and the cluster has none: training on CPU", gpu
        )
        gpu = 0.0
    return {"cpu": cpu, "gpu": gpu} if gpu else {"cpu": cpu}


@contextlib.contextmanager
def _quiet_tune() -> Iterator[None]:
    """Keep Tune's own tables and files away, and its advice on a restore we do not need."""
    wanted = {"RAY_AIR_NEW_OUTPUT": "0", "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1"}
    before = {name: os.environ.get(name) for name in wanted}
    logger = logging.getLogger("ray.tune")
    level = logger.level
    os.environ.update(wanted)
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


@contextlib.contextmanager
def _sigterm_stops() -> Iterator[None]:
    """Let SIGTERM (``ray job stop``) end the sweep as Ctrl-C does; Ray's own handler exits."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _write_tables(sweep: SweepFolder) -> None:
    entries = sweep.entries()
    if not entries:
        return
    rows = json.dumps([entry.to_json() for entry in entries], indent=1)
    sweep.write_table("rows.json", rows.encode())
    sweep.write_table("table.csv", csv_text(entries).encode())
    sweep.write_table("table.md", markdown(entries).encode())
    sweep.write_table("plot.png", precision_plot(entries))


def _result(sweep: SweepFolder, specs: Sequence[TrialSpec], notes: list[str]) -> SweepResult:
    failures = []
    for spec in specs:
        result = sweep.trial(spec.key).result()
        if result is not None and result.status != "finished":
            name = f"{spec.title} on {spec.track}, seed {spec.seed}"
            failures.append((name, f"{result.status}: {result.reason}"))
    return SweepResult(sweep.entries(), failures, notes)


def _absolute(uri: str) -> str:
    return uri if "://" in uri else os.path.abspath(uri)


def _commit() -> str:
    """The checkout's commit; inside a Ray job there is no .git, so the submitter may name it."""
    named = Settings.current().commit
    if named:
        return named
    root = Path(__file__).parents[3]
    asked = subprocess.run(
        ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() or "unknown"
