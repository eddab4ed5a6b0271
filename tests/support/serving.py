"""What the service's tests share: an untrained SynSP++, made-up clips, a published tiny PVD."""

import secrets
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mlflow.exceptions import MlflowException
from numpy.typing import NDArray
from tests.support.lake_rows import read_windows
from tests.support.tiny_lake import TRACK

from poise.catalog.tracks import Track
from poise.checkpoints.checkpoint import ModelCard, pose_spec, save_checkpoint
from poise.checkpoints.mlflow_client import mlflow_client
from poise.lake.manifest import read_manifest
from poise.serving.model import ReplicaConfig
from poise.serving.model_lookup import ModelLocation
from poise.training_data.split import load_split
from poise_models import catalogue
from poise_retrieval.geometry.embedding import embed
from poise_retrieval.milvus.store import PoseStore


def save_untrained(folder: Path, refiner: str = "synspp", track: Track = TRACK) -> str:
    """Save a small refiner with random weights as a checkpoint, by default of the tiny lake's."""
    torch.manual_seed(0)
    settings = {"width": 16, "feed_forward": 16, "heads": 2} if refiner == "synspp" else {}
    built = catalogue.build(refiner, pose_spec(track), settings)
    save_checkpoint(built, ModelCard(str(track), refiner, built.settings()), str(folder))
    return str(folder)


def replica(checkpoint: str, lake: str = "no-lake", milvus_uri: str | None = None) -> ReplicaConfig:
    """Configure a replica of a checkpoint folder; by default without retrieval."""
    return ReplicaConfig(ModelLocation("m", None, checkpoint), lake, milvus_uri)


def register_untrained(
    uri: str, artifacts: Path, name: str, refiner: str = "synspp", champion: bool = True
) -> str:
    """Register an untrained checkpoint as the next version of a model; which one it is."""
    client = mlflow_client(uri)
    experiment = client.create_experiment(secrets.token_hex(4), str(artifacts / name))
    run = client.create_run(experiment)
    save_untrained(Path(run.info.artifact_uri) / "model" / "data" / "checkpoint", refiner)
    with suppress(MlflowException):  # there is
        client.create_registered_model(name)
    version = client.create_model_version(name, f"runs:/{run.info.run_id}/model", run.info.run_id)
    if champion:
        client.set_registered_model_alias(name, "champion", version.version)
    return str(version.version)


def outcome(steps: Generator[None, None, Any]) -> Any:
    """What work that is done in steps returns."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def clip(frames: int, seed: int = 0) -> NDArray[np.float32]:
    """Make a sequence (F, 51) in metres that drifts and jitters."""
    rng = np.random.default_rng(seed)
    walk_FC = rng.normal(scale=0.02, size=(frames, 51)).cumsum(0)
    clip_FC: NDArray[np.float32] = (rng.normal(scale=0.3, size=51) + walk_FC).astype(np.float32)
    return clip_FC


def publish(lake: Path, uri: str) -> None:
    """Put the tiny lake's training windows into Milvus, under the alias readers use."""
    manifest = read_manifest(str(lake), TRACK)
    windows = read_windows(str(lake), TRACK, "train")
    ids = windows["window_id"].to_numpy().copy()
    truth_NTC = load_split(str(lake), TRACK, "train").bank().windows(torch.from_numpy(ids))
    vectors = embed(truth_NTC, TRACK.info.skeleton, TRACK.representation).numpy()
    assert manifest.pvd is not None
    store = PoseStore(uri)
    store.create(manifest.pvd.collection, vectors.shape[1])
    store.upsert(
        manifest.pvd.collection, ids, vectors, [str(s) for s in windows["subject"].to_pylist()]
    )
    store.seal(manifest.pvd.collection)
    store.publish(manifest.pvd.alias, manifest.pvd.collection)
