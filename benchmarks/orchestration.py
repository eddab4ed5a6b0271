"""What a sweep costs beside its trials, against plain Ray Tune with Ray's own MLflow callback.

python -m benchmarks.orchestration [--trials 32] [--turns 2] [--memory 200]

The trials are tiny, so that what is around them shows. Each turn runs the same ones three times on
one Ray: as a sweep, as a sweep whose publisher does nothing, and by `tune.Tuner` with
`MLflowLoggerCallback`. *Over trials* is the wall time over the sum of the trials' own times divided
by the CPUs: 1 would be no cost at all. *Tracking* is what the wall time with MLflow is above that
without; and, whatever else the machine does, the CPU time of publishing over that of the run's
slots. ``--memory`` runs a longer sweep besides, and reads the driver's memory as it goes.
"""

import argparse
import logging
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil
from ray import tune
from ray.air.integrations.mlflow import MLflowLoggerCallback
from tests.support.mlflow_server import fresh_store
from tests.support.tiny_lake import TRACK, write_tiny_lake
from tests.support.tiny_plan import SYNSPP

from poise.experiments.grid import TrialSpec, grid
from poise.experiments.live.rows import LiveRow
from poise.experiments.live.status import Status
from poise.experiments.mlflow_mirror import MlflowMirror
from poise.experiments.plan import Plan
from poise.experiments.records import SweepFolder, TrialFolder, now_ms
from poise.experiments.shared_splits import SplitSource
from poise.experiments.sweep import run_sweep
from poise.experiments.trial import TrialSetup, run_trial
from poise.lake.manifest import manifest_hash, read_manifest
from poise.runtime.ray_cluster.join import available_cpus, connect

MIB = 2**20


@dataclass(frozen=True)
class Cost:
    """Wall seconds of a run, and of them those before, in and after its trials.

    ``trials`` are the trials' own seconds, one by one; ``before`` those until the first began,
    ``after`` those since the last ended. ``tracking`` are CPU seconds of publishing.
    """

    wall: float
    trials: list[float]
    before: float
    after: float
    tracking: float = 0.0

    @classmethod
    def of(cls, began_ms: int, trials: Sequence[TrialFolder], tracking: float = 0.0) -> "Cost":
        """Return the cost of a run that began then, and has just ended."""
        ended_ms = now_ms()
        results = [found for trial in trials if (found := trial.result()) and found.row]
        if len(results) != len(trials):
            raise SystemExit(f"{len(trials) - len(results)} trials have no result")
        return cls(
            (ended_ms - began_ms) / 1000,
            [(result.ended - result.started) / 1000 for result in results],
            (min(result.started for result in results) - began_ms) / 1000,
            (ended_ms - max(result.ended for result in results)) / 1000,
            tracking,
        )

    def over(self, slots: int) -> float:
        """Return the wall time over what the trials alone would take."""
        return self.wall / (sum(self.trials) / slots)

    def said(self, slots: int) -> str:
        """Return it as a line."""
        return (
            f"wall {self.wall:6.1f} s ({self.before:.1f} before the first trial, {self.after:.1f} "
            f"after the last), a trial {statistics.fmean(self.trials):5.2f} s, "
            f"over trials {self.over(slots):.2f}"
        )


def plan_of(trials: int, epochs: int) -> Plan:
    """Return a plan of so many tiny trials."""
    fields: dict[str, Any] = {
        "name": "orchestration",
        "tracks": [str(TRACK)],
        "refiners": [SYNSPP],
        "seeds": list(range(trials)),
        "budget": {"epochs": epochs, "batch": 16},
    }
    return Plan.model_validate(fields)


def sweep(
    plan: Plan, lake: str, show: Callable[[Status, Sequence[LiveRow]], None] | None = None
) -> Cost:
    """Run a plan from nothing, as ``poise sweep`` does."""
    with tempfile.TemporaryDirectory() as folder:
        store, artifacts = fresh_store(Path(folder)), f"{folder}/artifacts"
        began = now_ms()
        spent: list[float] = []
        with patch.object(MlflowMirror, "publish", _timed(MlflowMirror.publish, spent)):
            run_sweep(plan, lake, f"{folder}/sweeps", store, artifacts, show=show)
        records = SweepFolder(f"{folder}/sweeps/{plan.name}")
        trials = [records.trial(key) for key in records.header()["trials"]]
        return Cost.of(began, trials, sum(spent))


def sweep_untracked(plan: Plan, lake: str) -> Cost:
    """Run a plan with a publisher that does nothing."""
    with (
        patch.object(MlflowMirror, "publish", lambda *_: None),
        patch("poise.experiments.sweep.promote_best", lambda *_: []),
    ):
        return sweep(plan, lake)


def plain_tune(plan: Plan, lake: str) -> Cost:
    """Run the same trials by Tune alone, with Ray's own MLflow callback."""
    specs = {spec.key: spec for spec in _specs(plan, lake)}
    with tempfile.TemporaryDirectory() as folder:
        callback = MLflowLoggerCallback(fresh_store(Path(folder)), experiment_name=plan.name)

        def trainable(config: dict[str, Any]) -> None:
            trial = TrialFolder(f"{folder}/trials/{config['key']}")
            trial.begin(specs[config["key"]])
            run_trial(trial, TrialSetup(SplitSource(lake)), tune.report)

        began = now_ms()
        tune.Tuner(
            tune.with_resources(trainable, {"cpu": 1}),
            param_space={"key": tune.grid_search(list(specs))},
            run_config=tune.RunConfig(
                name=plan.name, storage_path=f"{folder}/tune", verbose=0, callbacks=[callback]
            ),
        ).fit()
        return Cost.of(began, [TrialFolder(f"{folder}/trials/{key}") for key in specs])


def memory(plan: Plan, lake: str) -> None:
    """Run a sweep; print the driver's resident memory as it goes, and its slope."""
    seen: dict[int, float] = {}
    driver = psutil.Process()
    step = max(len(plan.seeds) // 10, 1)

    def note(status: Status, _: Sequence[LiveRow]) -> None:
        if status.done // step > max(seen, default=-1) // step:
            print(f"  {status.done:4} done, {driver.memory_info().rss / MIB:6.1f} MiB", flush=True)
            seen[status.done] = driver.memory_info().rss / MIB

    sweep(plan, lake, note)
    later = {done: rss for done, rss in seen.items() if done >= len(plan.seeds) // 4}
    slope = statistics.linear_regression(list(later), list(later.values())).slope
    print(f"  {1000 * slope:+.0f} MiB for 1,000 trials, after the first quarter")


def _timed(
    publish: Callable[[MlflowMirror, bool], None], spent: list[float]
) -> Callable[[MlflowMirror, bool], None]:
    def timed(mirror: MlflowMirror, running: bool) -> None:
        began = time.thread_time()
        try:
            publish(mirror, running)
        finally:
            spent.append(time.thread_time() - began)

    return timed


def _specs(plan: Plan, lake: str) -> list[TrialSpec]:
    return grid(plan, {str(TRACK): manifest_hash(read_manifest(lake, TRACK))})


def _conclude(costs: dict[str, list[Cost]], slots: int) -> None:
    pairs = list(zip(costs["sweep"], costs["sweep, untracked"], strict=True))
    shares = [(one.wall - other.wall) / one.wall for one, other in pairs]
    print(f"tracking's share of the wall time: {statistics.median(shares):.1%}")
    used = statistics.median(one.tracking / (one.wall * slots) for one in costs["sweep"])
    each = statistics.median(one.tracking / len(one.trials) for one in costs["sweep"])
    print(f"publishing takes {used:.1%} of the CPU time there is, {1000 * each:.0f} ms a trial")
    mine, plain = (
        statistics.median(cost.wall for cost in costs[name]) for name in ("sweep", "plain Tune")
    )
    print(f"plain Tune takes {plain / mine:.1f} times as long as a sweep")


def main() -> None:
    """Measure, and print a table."""
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--trials", type=int, default=32)
    asked.add_argument("--epochs", type=int, default=10)
    asked.add_argument("--turns", type=int, default=2)
    asked.add_argument("--memory", type=int, default=0)
    options = asked.parse_args()
    logging.getLogger("ray.tune").setLevel(logging.ERROR)
    ways = {"sweep": sweep, "sweep, untracked": sweep_untracked, "plain Tune": plain_tune}
    slots = available_cpus()
    with tempfile.TemporaryDirectory() as lake, connect():
        write_tiny_lake(Path(lake))
        sweep(plan_of(slots, 1), lake)  # workers have imported what they need
        plan = plan_of(options.trials, options.epochs)
        if options.turns:
            print(f"{options.trials} trials of {options.epochs} epochs, {slots} CPUs", flush=True)
        costs: dict[str, list[Cost]] = {name: [] for name in ways}
        for _ in range(options.turns):
            for name, way in ways.items():
                cost = way(plan, lake)
                costs[name].append(cost)
                print(f"{name:<16} {cost.said(slots)}", flush=True)
        if options.turns:
            _conclude(costs, slots)
        if options.memory:
            print(f"driver over {options.memory} trials:", flush=True)
            memory(plan_of(options.memory, 1), lake)


if __name__ == "__main__":
    main()
