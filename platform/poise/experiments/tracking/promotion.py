"""A champion by hand: any version of a model, or any trial's run, and back."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlflow import MlflowClient, artifacts
from mlflow.entities import Run, ViewType
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from poise.catalog.tracks import Track
from poise.checkpoints.champions import Promotion, crown, earlier, history
from poise.checkpoints.checkpoint import CARD
from poise.checkpoints.registry import find_version, inventory, model_name, register, versions
from poise.checkpoints.run_files import run_folder
from poise.experiments.tracking.facts import FOLD, TRIAL_KEY
from poise.runtime.errors import ModelError, TrackError

_RUN = re.compile(r"[0-9a-f]{32}")
#: What a version is told of the run that it came from.
_HANDED_DOWN = ("poise.lake_manifest", "poise.held_out", "poise.refiner", "poise.retrieval")


def model_of(text: str) -> str:
    """Return the model that a user means: by its name, or by its track."""
    try:
        return model_name(Track.parse(text))
    except TrackError:
        return text


def promote_by_hand(client: MlflowClient, name: str, which: str, by: str, reason: str) -> Promotion:
    """Make a version, or the network of a run, the champion of a model.

    Args:
        client: of the registry.
        name: of the model.
        which: number of a version, id of a run, or key of a trial.
        by: who wants it.
        reason: why.

    Raises:
        ModelError: there is no such version or run, or the run has no network for this model.
    """
    if which.isdecimal() and len(which) < 16:
        version = find_version(client, name, number=which)
        if version is None:
            raise ModelError(f"{name} has no version {which}; {_have(client, name)}")
    else:
        version = _version_of(client, name, _find_run(client, which))
    return crown(client, version, by, reason)


def undo(client: MlflowClient, name: str, by: str, reason: str) -> Promotion:
    """Make the version champion again that was it before the present one.

    Raises:
        ModelError: nothing is known of one.
    """
    return crown(client, earlier(client, name), by, reason)


def champions(client: MlflowClient, name: str) -> tuple[str, list[Promotion]]:
    """Return the number of a model's champion, and all promotions, the last one last.

    Raises:
        ModelError: there is no such model, or it has no champion.
    """
    present = find_version(client, name)
    if present is None:
        raise ModelError(f"{name} has no champion; {_have(client, name)}")
    return str(present.version), history(client, name)


def _have(client: MlflowClient, name: str) -> str:
    numbers = sorted(int(one.version) for one in versions(client, name))
    if numbers:
        return "it has " + ", ".join(map(str, numbers))
    return inventory(client) or "the registry is empty: run poise sweep first"


def _find_run(client: MlflowClient, which: str) -> Run:
    if _RUN.fullmatch(which):
        try:
            return client.get_run(which)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
    everything = [one.experiment_id for one in client.search_experiments()]
    asked = f"tags.`{TRIAL_KEY}` = '{which}'" if which.isalnum() else ""
    found = client.search_runs(everything, asked, ViewType.ACTIVE_ONLY, 1) if asked else []
    if not found:
        raise ModelError(
            f"{which} is no version, no run of MLflow and no trial's key; poise ui shows them"
        )
    return found[0]


def _version_of(client: MlflowClient, name: str, run: Run) -> ModelVersion:
    """Return the version that a run is, and make it one where it is none yet."""
    run_id, tags = run.info.run_id, run.data.tags
    there = [one for one in versions(client, name) if one.run_id == run_id]
    if there:
        return there[0]
    if TRIAL_KEY not in tags:
        raise ModelError(f"run {run_id} is no trial of a sweep")
    if model_name(Track.parse(tags["poise.track"])) != name:
        raise ModelError(
            f"run {run_id} was trained on {tags['poise.track']}, which is "
            f"{model_name(Track.parse(tags['poise.track']))} and not {name}"
        )
    if FOLD in tags:
        raise ModelError(
            f"run {run_id} is a fold of a cross-validation: its network has learnt from people of "
            "the track's test split, which then says nothing of it"
        )
    told = {key: tags[key] for key in (TRIAL_KEY, *_HANDED_DOWN) if key in tags}
    score = run.data.metrics.get("validation_score")
    if score is not None:
        told["poise.score"] = repr(score)
    with _checkpoint(client, run) as folder:
        return register(client, name, run_id, folder, told)


@contextmanager
def _checkpoint(client: MlflowClient, run: Run) -> Iterator[str]:
    """Give a run's checkpoint as a folder of this machine."""
    files = run_folder(client.tracking_uri, run)
    missing = ModelError(f"run {run.info.run_id} has no checkpoint: did its trial finish?")
    if files is not None:
        if not (files / "checkpoint" / CARD).exists():
            raise missing
        yield str(files / "checkpoint")
        return
    if not client.list_artifacts(run.info.run_id, "checkpoint"):
        raise missing
    with tempfile.TemporaryDirectory() as scratch:
        uri = f"runs:/{run.info.run_id}/checkpoint"
        yield str(
            Path(
                artifacts.download_artifacts(
                    uri, dst_path=scratch, tracking_uri=client.tracking_uri
                )
            )
        )
