"""What a trial's run is told when it is made: name, tags, parameters, data."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag, Param
from mlflow.utils.mlflow_tags import (
    MLFLOW_DATASET_CONTEXT,
    MLFLOW_GIT_BRANCH,
    MLFLOW_GIT_COMMIT,
    MLFLOW_GIT_DIRTY,
    MLFLOW_RUN_NAME,
    MLFLOW_SOURCE_NAME,
    MLFLOW_SOURCE_TYPE,
    MLFLOW_USER,
)

from poise.catalog.tracks import Track
from poise.experiments.grid import TrialSpec
from poise.experiments.tracking.source import UNKNOWN
from poise.lake.manifest import track_folder

TRIAL_KEY = "poise.trial_key"
#: The fold of a cross-validation.
FOLD = "poise.fold"
#: MLflow cuts longer ones off.
_LONGEST_TAG = 5000

#: Tags of what `poise.experiments.tracking.source.Source.facts` tells, and of machines.
_SOURCE = {
    "commit": MLFLOW_GIT_COMMIT,
    "branch": MLFLOW_GIT_BRANCH,
    "dirty": MLFLOW_GIT_DIRTY,
    "command": MLFLOW_SOURCE_NAME,
    "user": MLFLOW_USER,
    "diff": "poise.diff",
    "packages": "poise.packages",
}


def run_name(spec: TrialSpec) -> str:
    """Return the name of a run, for example ``SynSP++ · uiprmd/kinect/3D · seed 0 · fold 2``."""
    parts = [spec.title, spec.track, f"seed {spec.seed}"]
    return " · ".join([*parts, f"fold {spec.fold.number}"] if spec.fold else parts)


def tags(spec: TrialSpec, origin: Mapping[str, str], machine: Mapping[str, str]) -> dict[str, str]:
    """Return the tags of a run.

    Args:
        spec: the trial.
        origin: facts of its source.
        machine: facts of the machine it runs on.
    """
    told = {
        TRIAL_KEY: spec.key,
        MLFLOW_RUN_NAME: run_name(spec),
        "poise.track": spec.track,
        "poise.refiner": spec.refiner,
        "poise.lake_manifest": spec.manifest,
        **({FOLD: str(spec.fold)} if spec.fold else {}),
        **source_tags(origin),
        **{f"poise.machine.{name}": text for name, text in machine.items()},
    }
    return {name: text[:_LONGEST_TAG] for name, text in told.items()}


def source_tags(origin: Mapping[str, str]) -> dict[str, str]:
    """Return the tags of a submission: MLflow's pages show them as Source, Version and User."""
    known = {name: text for name, text in origin.items() if text != UNKNOWN}
    told = {tag: known[name] for name, tag in _SOURCE.items() if known.get(name)}
    return told | ({MLFLOW_SOURCE_TYPE: "LOCAL"} if MLFLOW_SOURCE_NAME in told else {})


def params(spec: TrialSpec) -> list[Param]:
    """Return the parameters of a run; settings that are tuned are none of them."""
    return [Param(name, str(value)) for name, value in _params(spec)]


def dataset(spec: TrialSpec, lake: str) -> DatasetInput:
    """Return the track as a run's input: its digest is the hash of its manifest in the lake."""
    scheme = lake.partition("://")[0] if "://" in lake else "local"
    data = Dataset(
        name=spec.track,
        digest=spec.manifest,
        source_type="local" if scheme == "file" else scheme,
        source=json.dumps({"uri": track_folder(lake, Track.parse(spec.track))}),
        profile=json.dumps({"manifest": spec.manifest}),
    )
    return DatasetInput(data, [InputTag(MLFLOW_DATASET_CONTEXT, "train, test")])


def _params(spec: TrialSpec) -> Iterator[tuple[str, Any]]:
    yield from (
        ("method", spec.title),
        ("track", spec.track),
        ("refiner", spec.refiner),
        ("label", spec.label),
        ("seed", spec.seed),
        ("validation_subjects", ", ".join(spec.validation) or "auto"),
    )
    if spec.fold is not None:
        yield "fold", spec.fold.number
    tuned = {name for one in spec.candidates for name in one}
    for name, value in spec.settings.items():
        if name not in tuned:
            yield f"settings.{name}", value
    if spec.budget is not None:
        for name, value in spec.to_json()["budget"].items():
            yield f"budget.{name}", value
