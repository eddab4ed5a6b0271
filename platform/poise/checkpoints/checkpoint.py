"""Checkpoints: weights as safetensors, everything else as JSON. Reading one runs no code."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from poise.catalog.tracks import Track
from poise.runtime.errors import CheckpointError
from poise.runtime.storage import exists, join, read_bytes, write_bytes
from poise_models import catalogue
from poise_models.base.pose_spec import PoseSpec
from poise_models.base.refiner import Refiner
from poise_models.errors import RefinerError

WEIGHTS, CARD = "weights.safetensors", "checkpoint.json"
FORMAT = 1


@dataclass(frozen=True)
class ModelCard:
    """What a checkpoint is and where it comes from.

    Attributes:
        settings: the refiner's configuration.
        lake: lake of the track it was trained on; retrieval reads the neighbours' poses there.
        manifest: hash of the track's manifest at training time.
        metrics: figures on the validation subjects.
    """

    track: str
    refiner: str
    settings: dict[str, Any]
    seed: int = 0
    epochs: int = 0
    lake: str | None = None
    manifest: str | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    format: int = FORMAT


def pose_spec(track: Track) -> PoseSpec:
    """Return what a refiner must know of the track's frames: joints, dims, roots, symmetry."""
    info = track.info
    centre = track.representation == "3D"
    return PoseSpec(info.joints, info.dims, info.roots, centre, info.flip)


def save_checkpoint(refiner: Refiner, card: ModelCard, folder: str) -> None:
    """Write weights and card; the card last, so that a folder with a card is whole."""
    tensors = {name: value.contiguous().cpu() for name, value in refiner.state_dict().items()}
    write_bytes(join(folder, WEIGHTS), save_tensors(tensors))
    write_bytes(join(folder, CARD), json.dumps(asdict(card), indent=2).encode())


def load_checkpoint(folder: str, device: str = "cpu") -> tuple[Refiner, ModelCard]:
    """Read a checkpoint folder (local or any storage URI).

    Raises:
        CheckpointError: it is missing, damaged, of another format, or does not fit its own card.
    """
    if not exists(join(folder, CARD)):
        raise CheckpointError(
            f"{folder} holds no {CARD}: name a checkpoint folder or a model such as "
            "poise-uiprmd-kinect-3D@champion"
        )
    try:
        card = ModelCard(**json.loads(read_bytes(join(folder, CARD))))
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{join(folder, CARD)} is no checkpoint card: {error}") from error
    if card.format != FORMAT:
        raise CheckpointError(
            f"{folder} has checkpoint format {card.format}, this version reads {FORMAT}"
        )
    refiner = untrained(card)
    try:
        refiner.load_state_dict(load_tensors(read_bytes(join(folder, WEIGHTS))))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise CheckpointError(
            f"{join(folder, WEIGHTS)} does not fit {card.refiner} on {card.track}: {error}"
        ) from error
    return refiner.to(device).eval(), card


def untrained(card: ModelCard) -> Refiner:
    """Build the card's refiner with fresh weights; raise `CheckpointError` where it cannot be."""
    try:
        return catalogue.build(card.refiner, pose_spec(Track.parse(card.track)), card.settings)
    except RefinerError as error:
        raise CheckpointError(
            f"checkpoint of {card.refiner} on {card.track}: {error}; train it again with this "
            "version of Poise, or use it with the version it is from"
        ) from error
