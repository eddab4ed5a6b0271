"""Find the model to serve, given its registered name, an alias, a folder, or nothing at all."""

from dataclasses import dataclass, field
from pathlib import Path

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from poise.catalog.tracks import Track
from poise.checkpoints.checkpoint import CARD
from poise.checkpoints.mlflow_client import in_words, mlflow_client
from poise.checkpoints.registry import CHAMPION, MODEL_NAME, find_version, resolve
from poise.checkpoints.shipped import GENERAL, shipped
from poise.runtime import storage
from poise.runtime.errors import ModelError


@dataclass(frozen=True)
class ModelLocation:
    """A model and where its checkpoint is.

    Attributes:
        name: its name in the registry, or the last part of the checkpoint folder.
        version: its version in the registry; None for a checkpoint that is not registered.
        checkpoint: the checkpoint's folder, an absolute path or a URI.
        alias: what stood for that version; None where it was named itself.
        track: whose joints the general network is to take; None for its own.
    """

    name: str
    version: str | None
    checkpoint: str
    alias: str | None = field(default=None, compare=False)
    track: Track | None = None


def find_model(model: str | None, tracking_uri: str) -> ModelLocation:
    """Find a model's checkpoint, and pin an alias to the version it stands for now.

    Args:
        model: a registered name, ``name@alias``, ``name/version`` or a checkpoint folder; None
            takes the registry's champion where there is one alone, else the general network.
        tracking_uri: the MLflow registry.

    Raises:
        ModelError: there is no such model, or no answer from the registry.
    """
    folder = None if model is None else shipped(model)
    if folder is not None:
        return ModelLocation(str(model), None, folder)
    if model is not None and storage.exists(storage.join(model, CARD)):
        # Replicas do not stand where this process stands.
        folder = model if "://" in model else str(Path(model).absolute())
        return ModelLocation(folder.rstrip("/").rsplit("/", 1)[-1], None, folder)
    try:
        client = mlflow_client(tracking_uri)
        asked = model or _only_champion(client)
        if asked is None:
            return ModelLocation(GENERAL, None, str(shipped(GENERAL)))
        name, version, alias = _pinned(client, asked)
    except MlflowException as error:
        why = f"{model or 'its champion'}: {in_words(error)}"
        raise ModelError(f"the registry {tracking_uri} does not give {why}") from error
    # Where nothing has that name, `resolve` raises and says what there is.
    checkpoint = resolve(f"{name}/{version}" if version else asked, tracking_uri)
    return ModelLocation(name, version, checkpoint, alias)


def _only_champion(client: MlflowClient) -> str | None:
    models = client.search_registered_models()
    champions = [model.name for model in models if CHAMPION in model.aliases]
    return f"{champions[0]}@{CHAMPION}" if len(champions) == 1 else None


def _pinned(client: MlflowClient, model: str) -> tuple[str, str | None, str | None]:
    """Name, version that ``model`` stands for now, None where there is none, and by which alias."""
    match = MODEL_NAME.fullmatch(model)
    if match is None:
        return model, None, None
    name, version = match["name"], match["version"]
    if version is not None:
        return name, version, None
    alias = match["alias"] or CHAMPION
    found = find_version(client, name, alias)
    return name, None if found is None else str(found.version), alias
