"""A trial that two workers train ends as one that one trains, also when a worker dies."""

import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import load_file
from tests.support.mlflow_server import fresh_store
from tests.support.tiny_lake import write_tiny_lake
from tests.support.tiny_plan import begun, plan_of

from poise.experiments.records import SweepFolder, TrialFolder
from poise.experiments.shared_splits import SplitSource
from poise.experiments.sweep import run_sweep
from poise.experiments.trial import TrialSetup, run_trial
from poise.experiments.workers.crew import WorkerDiedError

POISE = {"name": "poise", "settings": {"window": 16, "width": 8, "blocks": 1}}
#: 17 windows are shared as 8 and 9.
BUDGET = {"epochs": 3, "batch": 17, "steps_per_epoch": 3, "ema": 0.5, "scale": 0.1}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("lake")
    write_tiny_lake(folder)
    return str(folder)


@pytest.fixture(scope="module")
def alone(lake: str, tmp_path_factory: pytest.TempPathFactory) -> TrialFolder:
    """The trial as one worker ends it."""
    trial = begun(lake, tmp_path_factory.mktemp("alone"), POISE, budget=BUDGET)
    assert run_trial(trial, TrialSetup(SplitSource(lake)), lambda _: None).status == "finished"
    return trial


def assert_alike(trial: TrialFolder, alone: TrialFolder) -> None:
    for one, other in zip(trial.history(), alone.history(), strict=True):
        assert one.metrics == pytest.approx(other.metrics, rel=1e-4)
    weights, expected = (
        load_file(Path(folder.checkpoint, "weights.safetensors")) for folder in (trial, alone)
    )
    torch.testing.assert_close(weights, expected, rtol=1e-3, atol=2e-4)


@pytest.mark.slow
def test_two_workers_of_a_sweep_train_what_one_does(
    cluster: None, lake: str, alone: TrialFolder, tmp_path: Path
) -> None:
    plan = plan_of(POISE, budget=BUDGET, resources={"workers": 2})
    folder, store = str(tmp_path / "sweeps"), fresh_store(tmp_path)
    assert not run_sweep(plan, lake, folder, store, str(tmp_path / "artifacts")).failures
    sweep = SweepFolder(str(tmp_path / "sweeps" / "tiny"))
    (key,) = sweep.header()["trials"]
    assert_alike(sweep.trial(key), alone)


@pytest.mark.slow
@pytest.mark.chaos
def test_a_worker_that_dies_costs_no_epoch(
    cluster: None, lake: str, alone: TrialFolder, tmp_path: Path
) -> None:
    setup = TrialSetup(SplitSource(lake), workers=2)
    trial = begun(lake, tmp_path, POISE, budget=BUDGET)
    killed: list[int] = []

    def kill_the_other(metrics: dict[str, Any]) -> None:
        if metrics["epoch"] == 2:
            (follower,) = (process for process in psutil.process_iter() if _follows(process))
            killed.append(follower.pid)
            os.kill(follower.pid, signal.SIGKILL)

    with pytest.raises(WorkerDiedError, match="worker 2 of 2 of the trial died"):
        run_trial(trial, setup, kill_the_other)
    assert len(killed) == 1
    done = trial.history()
    assert [epoch.epoch for epoch in done] == [1, 2]
    assert run_trial(trial, setup, lambda _: None).status == "finished"
    assert trial.history()[:2] == done
    assert_alike(trial, alone)


def _follows(process: psutil.Process) -> bool:
    """Say whether it is the second worker of a trial of this test's Ray."""
    try:
        ours = os.getpid() in [parent.pid for parent in process.parents()]
        return ours and process.cmdline()[0].startswith("ray::Follower")
    except (psutil.Error, IndexError):
        return False
