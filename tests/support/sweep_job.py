"""What the tests of ``jobs/sweep.py`` share: a tiny plan on a tiny lake, and what it left."""

import json
import os
import sys
from pathlib import Path
from typing import Any

from mlflow.entities import Run
from tests.support.mlflow_server import fresh_store
from tests.support.tiny_lake import write_tiny_lake

from poise.checkpoints.mlflow_client import mlflow_client
from poise.experiments.tracking.facts import TRIAL_KEY

ROOT = Path(__file__).parents[2]
SWEEP = ROOT / "jobs" / "sweep.py"
PLAN = """
name: tiny
tracks: [uiprmd/kinect/3D]
refiners:
  - input
  - offset
  - {name: synspp, settings: {width: 8, feed_forward: 8, heads: 1, layers: 1, skip: low}}
budget: {epochs: 40, batch: 16, steps_per_epoch: 2}
"""
EPOCHS = 40
KEYS = ("track", "refiner", "seed", "mpjpe", "pa_mpjpe", "accel", "frames", "params", "seconds")


def prepare(folder: Path) -> Path:
    """Put lake, plan and an empty tracking store into a folder."""
    write_tiny_lake(folder / "lake")
    (folder / "tiny.yaml").write_text(PLAN)
    fresh_store(folder)
    return folder


def environment(**more: str) -> dict[str, str]:
    """The environment of a job: nothing of this machine's settings."""
    dropped = ("POISE_DATA", "POISE_HOME", "MLFLOW_TRACKING_URI", "PYTHONPATH", "RAY_ADDRESS")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    # Shebangs and jobs take the python that runs the tests.
    kept["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**kept, "OMP_NUM_THREADS": "1", **more}


def rows(home: Path) -> list[dict[str, Any]]:
    """The rows the sweep wrote."""
    found: list[dict[str, Any]] = json.loads((home / "rows.json").read_text())
    return found


def statuses(home: Path) -> dict[str, str]:
    """The status of each MLflow run of a home by trial key."""
    return run_statuses(f"sqlite:///{home}/mlflow.db")


def run_statuses(uri: str, sweep: str = "tiny") -> dict[str, str]:
    """The status of each MLflow run of a sweep by trial key; no key twice."""
    return {key: run.info.status for key, run in runs_of(uri, sweep).items()}


def runs_of(uri: str, sweep: str = "tiny") -> dict[str, Run]:
    """The MLflow runs of a sweep by trial key; no key twice."""
    client = mlflow_client(uri)
    experiment = client.get_experiment_by_name(sweep)
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id])
    keys = [run.data.tags.get(TRIAL_KEY, "parent") for run in found]
    assert len(keys) == len(set(keys))
    return dict(zip(keys, found, strict=True))
