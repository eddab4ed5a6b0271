"""The model registry: names that lead to checkpoints, and how a checkpoint gets one."""

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from mlflow import MlflowClient, artifacts
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from poise.catalog.tracks import Track
from poise.checkpoints.checkpoint import CARD
from poise.checkpoints.mlflow_client import in_words, mlflow_client
from poise.checkpoints.pyfunc import INSIDE, LOADER, pack
from poise.checkpoints.run_files import keep_files, run_folder
from poise.runtime import storage
from poise.runtime.errors import ModelError

CHAMPION = "champion"
_ARTIFACT = "model"
_LOADER_TAG = "poise.loader"
#: What MLflow takes as a model's name, but for ``@``, then an alias or a version.
MODEL_NAME = re.compile(r"(?P<name>[^/:@]+)(?:@(?P<alias>[^/:@]+)|/(?P<version>\d+))?")


def model_name(track: Track) -> str:
    """Return the name of a track's registered model, for example ``poise-uiprmd-kinect-3D``."""
    return f"poise-{track.slug}"


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
    if storage.exists(storage.join(model, CARD)):
        return model
    match = MODEL_NAME.fullmatch(model)
    if match is None:
        raise ModelError(f"{model} is neither a checkpoint folder nor a model's name")
    try:
        client = mlflow_client(tracking_uri)
        found = find_version(client, match["name"], match["alias"], match["version"])
        if found is None:
            raise ModelError(
                f"no model {model} in the registry {tracking_uri}; "
                f"{inventory(client) or 'it is empty: run poise sweep first'}"
            )
        return _local_folder(client, found, tracking_uri, cache)
    except MlflowException as error:
        raise ModelError(
            f"the registry {tracking_uri} does not give {model}: {in_words(error)}"
        ) from error


def find_version(
    client: MlflowClient, name: str, alias: str | None = None, number: str | None = None
) -> ModelVersion | None:
    """Return a version of a registered model by number, else by alias, else its champion.

    Raises:
        MlflowException: the registry does not answer. Where there is no such version the result
            is None.
    """
    try:
        if number is not None:
            return client.get_model_version(name, number)
        return client.get_model_version_by_alias(name, alias or CHAMPION)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def versions(client: MlflowClient, name: str) -> list[ModelVersion]:
    """Return all versions of a registered model; none where there is no such model."""
    found: list[ModelVersion] = []
    token: str | None = None
    while True:
        page = client.search_model_versions(f"name='{name}'", page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def register(
    client: MlflowClient, name: str, run_id: str, checkpoint: str, tags: Mapping[str, str]
) -> ModelVersion:
    """Make a checkpoint a new version of a registered model; the model is made if need be.

    Args:
        client: of the registry.
        name: of the model.
        run_id: of the run that trained it, which keeps the package among its artifacts.
        checkpoint: folder or URI.
        tags: of the version.

    Raises:
        ModelError: the registry takes this name for another's, which differs only in case.
    """
    _upload(client, run_id, checkpoint)
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        there = client.get_registered_model(name).name
        if there != name:
            raise ModelError(
                f"the registry has a model {there}, which is one name to it with {name}: rename "
                "the estimator of one, or use a registry that tells upper from lower case"
            ) from error
    source = f"runs:/{run_id}/{_ARTIFACT}"
    tags = {**tags, _LOADER_TAG: LOADER}
    return client.create_model_version(name, source, run_id, tags=tags)


def renew_package(client: MlflowClient, found: ModelVersion, tracking_uri: str) -> bool:
    """Pack a version again where an earlier Poise packed it for a module that is gone.

    Only `mlflow.pyfunc.load_model` reads that module's name; `resolve` finds the checkpoint in any
    package. Returns whether there was anything to do.
    """
    if found.tags.get(_LOADER_TAG) == LOADER:
        return False
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint = _local_folder(client, found, tracking_uri, Path(scratch))
        _upload(client, found.run_id, checkpoint)
    client.set_model_version_tag(found.name, found.version, _LOADER_TAG, LOADER)
    return True


def _upload(client: MlflowClient, run_id: str, checkpoint: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        local, packed = Path(scratch, INSIDE[-1]), Path(scratch, _ARTIFACT)
        local.mkdir()
        for file in storage.list_dir(checkpoint):
            (local / file).write_bytes(storage.read_bytes(storage.join(checkpoint, file)))
        pack(local, packed)
        keep_files(client, client.get_run(run_id), packed, _ARTIFACT)


def _local_folder(
    client: MlflowClient, found: ModelVersion, tracking_uri: str, cache: Path | None
) -> str:
    files = run_folder(tracking_uri, client.get_run(found.run_id))
    if files is not None:
        return storage.join(files, _ARTIFACT, *INSIDE)
    kept = (cache or Path.home() / ".cache" / "poise") / "models" / found.run_id
    if not (kept / CARD).exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as scratch:
            uri = storage.join(f"runs:/{found.run_id}", _ARTIFACT, *INSIDE)
            local = artifacts.download_artifacts(uri, dst_path=scratch, tracking_uri=tracking_uri)
            Path(local).rename(kept)
    return str(kept)


def inventory(client: MlflowClient) -> str:
    """Say which models there are; empty where there are none."""
    have = []
    for model in client.search_registered_models():
        versions = [f"@{alias} (version {number})" for alias, number in model.aliases.items()]
        have.append(f"{model.name}{', '.join(versions)}")
    return f"there are {'; '.join(have)}" if have else ""
