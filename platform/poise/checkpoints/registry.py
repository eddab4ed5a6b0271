"""The model registry: the best checkpoint of a track, and the names that lead to it."""

import logging
import re
import tempfile
from importlib.metadata import version
from pathlib import Path

import mlflow.pyfunc
import numpy as np
from mlflow import MlflowClient, artifacts
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models.signature import infer_signature

from poise.catalog.tracks import Track
from poise.checkpoints.checkpoint import CARD, load_checkpoint
from poise.checkpoints.pyfunc import PoseModel
from poise.experiments.mlflow_mirror import TRIAL_KEY, connect
from poise.experiments.plan import TrialSpec
from poise.experiments.records import Result, TrialFolder
from poise.runtime import storage
from poise.runtime.errors import ModelError

log = logging.getLogger(__name__)

CHAMPION = "champion"
_MANIFEST, _SCORE, _HELD_OUT = "poise.lake_manifest", "poise.score", "poise.held_out"
_ARTIFACT = "model"
#: MLflow keeps a pyfunc's data under ``data/<name of the folder it came from>``.
_INSIDE = ("data", "checkpoint")
_NAME = re.compile(r"(?P<name>[\w.-]+)(?:@(?P<alias>[\w.-]+)|/(?P<version>\d+))?")
_EXAMPLE_FRAMES = 16


def model_name(track: Track) -> str:
    """The registered model of a track: ``poise-uiprmd-kinect-3D``."""
    return f"poise-{track.slug}"


def crown(
    client: MlflowClient, run_id: str, folder: TrialFolder, spec: TrialSpec, result: Result
) -> str:
    """Make a finished trial the champion of its track, unless the present one is better.

    Two trials compare only if both were validated on the same subjects of the same data; a
    champion of other data gives way. Returns one sentence about what happened.
    """
    name = model_name(Track.parse(spec.track))
    present = _champion(client, name)
    score = (result.validation or {})["score"]
    if present is not None and present.tags.get(TRIAL_KEY) == spec.key:
        return f"{name} version {present.version} stays champion (the same {spec.title})"
    marks = {_MANIFEST: spec.manifest, _HELD_OUT: ", ".join(result.held_out)}
    if present is not None and all(present.tags.get(k) == v for k, v in marks.items()):
        before = float(present.tags[_SCORE])
        if before <= score:
            return (
                f"{name} version {present.version} stays champion: "
                f"validation score {before:.3f}, {spec.title} here has {score:.3f}"
            )
    tags = {**marks, TRIAL_KEY: spec.key, _SCORE: repr(score), "poise.refiner": spec.refiner}
    new = _version_of(client, name, spec.key) or _register(client, name, run_id, folder, tags)
    client.set_registered_model_alias(name, CHAMPION, new.version)
    return f"{name} version {new.version} is champion: {spec.title}, validation score {score:.3f}"


def resolve(model: str, tracking_uri: str, cache: Path | None = None) -> str:
    """Return the checkpoint folder a model's name leads to.

    Args:
        model: ``name@alias``, ``name`` (its champion), ``name/version``, or a checkpoint folder
            or storage URI, which is returned as it is.
        tracking_uri: of the registry.
        cache: where models of a remote registry are kept; ``~/.cache/poise`` by default.

    Raises:
        ModelError: the name leads nowhere (the message lists what exists), or the registry
            does not answer.
    """
    match = _NAME.fullmatch(model)
    if match is None or storage.exists(storage.join(model, CARD)):
        if not storage.exists(storage.join(model, CARD)):
            raise ModelError(f"{model} is neither a checkpoint folder nor a model's name")
        return model
    try:
        client = connect(tracking_uri)
        found = _find(client, match["name"], match["alias"], match["version"])
        if found is None:
            raise ModelError(
                f"no model {model} in the registry {tracking_uri}; "
                f"{_inventory(client) or 'it is empty: run jobs/sweep.py first'}"
            )
        return _local_folder(client, found, tracking_uri, cache)
    except MlflowException as error:
        raise ModelError(f"the registry {tracking_uri} does not give {model}: {error}") from error


def _champion(client: MlflowClient, name: str) -> ModelVersion | None:
    return _find(client, name, CHAMPION, None)


def _find(
    client: MlflowClient, name: str, alias: str | None, number: str | None
) -> ModelVersion | None:
    try:
        if number is not None:
            return client.get_model_version(name, number)
        return client.get_model_version_by_alias(name, alias or CHAMPION)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def _version_of(client: MlflowClient, name: str, key: str) -> ModelVersion | None:
    versions = client.search_model_versions(f"name='{name}'")
    return next((v for v in versions if v.tags.get(TRIAL_KEY) == key), None)


def _register(
    client: MlflowClient, name: str, run_id: str, folder: TrialFolder, tags: dict[str, str]
) -> ModelVersion:
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint, packed = Path(scratch, _INSIDE[-1]), Path(scratch, _ARTIFACT)
        checkpoint.mkdir()
        for file in storage.list_dir(folder.checkpoint):
            content = storage.read_bytes(storage.join(folder.checkpoint, file))
            (checkpoint / file).write_bytes(content)
        _pack(checkpoint, packed)
        client.log_artifacts(run_id, str(packed), _ARTIFACT)
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    return client.create_model_version(name, f"runs:/{run_id}/{_ARTIFACT}", run_id, tags=tags)


def _pack(checkpoint: Path, into: Path) -> None:
    refiner, _ = load_checkpoint(str(checkpoint))
    random = np.random.default_rng(0)
    shape = (_EXAMPLE_FRAMES, refiner.spec.channels)
    example = random.standard_normal(shape).astype(np.float32)
    logging.getLogger("mlflow.pyfunc").setLevel(logging.WARNING)
    mlflow.pyfunc.save_model(
        into,
        loader_module="poise.checkpoints.pyfunc",
        data_path=str(checkpoint),
        signature=infer_signature(example, PoseModel(refiner).predict(example)),
        input_example=example,
        # Given, because MLflow would otherwise load the model in a new process to find out.
        pip_requirements=[f"{name}=={version(name)}" for name in ("torch", "numpy", "scipy")],
    )


def _local_folder(
    client: MlflowClient, found: ModelVersion, tracking_uri: str, cache: Path | None
) -> str:
    home = client.get_run(found.run_id).info.artifact_uri
    if ":/" not in home or home.startswith("file://"):
        return storage.join(home, _ARTIFACT, *_INSIDE)
    kept = (cache or Path.home() / ".cache" / "poise") / "models" / found.run_id
    if not (kept / CARD).exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as scratch:
            uri = storage.join(f"runs:/{found.run_id}", _ARTIFACT, *_INSIDE)
            local = artifacts.download_artifacts(uri, dst_path=scratch, tracking_uri=tracking_uri)
            Path(local).rename(kept)
    return str(kept)


def _inventory(client: MlflowClient) -> str:
    have = []
    for model in client.search_registered_models():
        versions = [f"@{alias} (version {number})" for alias, number in model.aliases.items()]
        have.append(f"{model.name}{', '.join(versions)}")
    return f"there are {'; '.join(have)}" if have else ""
