"""A sweep's trials on Ray Tune, which places them on the cluster; none of Tune's state is kept."""

import contextlib
import logging
import os
import signal
import tempfile
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import ray
from ray import tune

from poise.experiments.grid import TrialSpec
from poise.experiments.live.pulse import Pulse
from poise.experiments.plan import Plan
from poise.experiments.progress import Progress
from poise.experiments.records import SweepFolder
from poise.experiments.shared_splits import shared_splits
from poise.experiments.trial import TrialSetup, run_trial
from poise.runtime import storage
from poise.runtime.errors import PlanError

log = logging.getLogger(__name__)

MAX_FAILURES = 2


def trial_resources(plan: Plan) -> dict[str, float]:
    """Return what each worker of a trial occupies, as Ray names it.

    Raises:
        PlanError: the plan asks for a GPU, the cluster has none, and the plan's resources do not
            say ``cpu_ok``; or a trial has more workers than there is room for.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    each, workers = _of_a_worker(plan, nodes), plan.resources.workers
    if workers == 1 or all(_may_come(name.upper()) for name in each):
        return each
    room = sum(
        int(min(node.get(name.upper(), 0.0) / amount for name, amount in each.items()))
        for node in nodes
    )
    if room < workers:
        need = " and ".join(f"{amount:g} {name.upper()}" for name, amount in each.items())
        raise PlanError(
            f"plan {plan.name} wants {workers} workers a trial, with {need} each, and there is "
            f"room for {room} here: lower resources.workers or resources.cpu"
        )
    return each


def _of_a_worker(plan: Plan, nodes: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return what it occupies, no more CPUs than a machine here has; `PlanError` as above."""
    cpu, gpu = plan.resources.cpu, plan.resources.gpu
    most = max((node.get("CPU", 0.0) for node in nodes), default=0.0)
    if 0 < most < cpu:
        log.warning("no machine has %g CPUs: every trial takes %g", cpu, most)
        cpu = most
    if not gpu:
        return {"cpu": cpu}
    if any(node.get("GPU", 0.0) for node in nodes) or _may_come("GPU"):
        return {"cpu": cpu, "gpu": gpu}
    if not plan.resources.cpu_ok:
        raise PlanError(
            f"plan {plan.name} wants {gpu:g} GPU a trial and there is none here. Run it on a "
            "cluster with GPUs; or train on the CPU, which may take days, with --cpu-ok (in the "
            "plan: resources: {cpu_ok: true})"
        )
    log.warning("the plan wants %g GPU a trial and there is none here: training on the CPU", gpu)
    return {"cpu": cpu}


def placed(each: dict[str, float], workers: int) -> tune.PlacementGroupFactory:
    """Return what a trial occupies, as Tune takes it: so much for each of its workers."""
    bundle = {name.upper(): amount for name, amount in each.items()}
    return tune.PlacementGroupFactory([bundle] * workers)


def run_trials(
    plan: Plan,
    pending: Sequence[TrialSpec],
    resources: dict[str, float],
    sweep: SweepFolder,
    lake: str,
    pulse: Pulse,
) -> None:
    """Run trials on the connected cluster, each from wherever its folder says.

    Args:
        plan: gives the memory of streamed splits.
        pending: the trials to run.
        resources: of each worker, see `trial_resources`.
        sweep: where their folders are.
        lake: the data lake.
        pulse: told which trials begin and end.

    Raises:
        KeyboardInterrupt: the user stopped it; Tune stopped all trials first.
    """
    progress = Progress(sweep, pending, pulse)
    with (
        tempfile.TemporaryDirectory(prefix="poise-tune-") as scratch,
        shared_splits(storage.absolute(lake)) as source,
        quiet_tune(),
        sigterm_stops(),
    ):
        setup = TrialSetup(
            source=source,
            cpus=resources["cpu"],
            gpus=resources.get("gpu", 0.0),
            stream_gb=plan.resources.stream_gb,
            workers=plan.resources.workers,
        )
        tune.Tuner(
            tune.with_resources(_run_one, placed(resources, plan.resources.workers)),
            param_space={
                "key": tune.grid_search([spec.key for spec in pending]),
                "sweep": storage.absolute(sweep.uri),
                "setup": setup,
            },
            tune_config=tune.TuneConfig(
                reuse_actors=True,
                trial_name_creator=lambda trial: str(trial.config["key"]),
                trial_dirname_creator=lambda trial: str(trial.config["key"]),
            ),
            run_config=tune.RunConfig(
                name=plan.name,
                storage_path=scratch,
                verbose=0,
                callbacks=[progress],
                failure_config=tune.FailureConfig(max_failures=MAX_FAILURES),
            ),
        ).fit()
    # Tune turns Ctrl-C into an orderly stop of its own, and returns as if nothing had happened.
    if progress.open:
        raise KeyboardInterrupt


def _run_one(config: dict[str, Any]) -> None:
    folder = SweepFolder(config["sweep"]).trial(config["key"])
    run_trial(folder, config["setup"], tune.report)


def _may_come(resource: str) -> bool:
    """Say whether this is a cluster that starts machines with some when they are asked for."""
    # Ray has no public way to ask.
    most = ray._private.state.state.get_max_resources_from_cluster_config()
    return bool(most and most.get(resource, 0))


@contextlib.contextmanager
def quiet_tune() -> Iterator[None]:
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
def sigterm_stops() -> Iterator[None]:
    """Let SIGTERM (``ray job stop``) end the sweep as Ctrl-C does; Ray's own handler exits."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
