"""Checkpoints: weights as safetensors, everything else as JSON. Reading one runs no code."""

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar, Final

import torch
from pydantic import ConfigDict, TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from poise.catalog.tracks import Track
from poise.checkpoints.size_check import check_fits
from poise.runtime.errors import CheckpointError
from poise.runtime.printable import printable
from poise.runtime.storage import exists, join, read_bytes, size, write_bytes
from poise_models import catalogue
from poise_models.base.pose_spec import PoseSpec
from poise_models.base.refiner import Refiner
from poise_models.errors import ConfigError, RefinerError
from poise_models.general.general import General

WEIGHTS, CARD = "weights.safetensors", "checkpoint.json"
FORMAT = 1
#: Of a card, which has some hundred; and of what the weights say of themselves, some thousand.
_MOST_CARD_BYTES: Final = 2**20
_MOST_HEAD_BYTES: Final = 2**22
_SHOWN: Final = 300


@dataclass(frozen=True)
class ModelCard:
    """What a checkpoint is and where it comes from.

    Attributes:
        settings: the refiner's configuration.
        lake: lake of the track it was trained on; retrieval reads the neighbours' poses there.
        manifest: hash of the track's manifest at training time.
        metrics: figures on the validation subjects.
        tuned_from: the model whose weights its training began with; empty where with fresh ones.
        constant: what is taken off refined poses, C numbers (`poise_models.base.calibration`);
            empty where nothing is.
    """

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid", strict=True)

    track: str
    refiner: str
    settings: dict[str, Any]
    seed: int = 0
    epochs: int = 0
    lake: str | None = None
    manifest: str | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    tuned_from: str = ""
    constant: list[float] = field(default_factory=list)
    format: int = FORMAT


_CARDS: Final = TypeAdapter(ModelCard)


def pose_spec(track: Track) -> PoseSpec:
    """Return what a refiner must know of the track's frames: joints, dims, roots, axes."""
    info = track.info
    centre = track.representation == "3D"
    return PoseSpec(
        info.joints, info.dims, info.roots, centre, info.flip, info.up, info.joint_names
    )


def save_checkpoint(refiner: Refiner, card: ModelCard, folder: str) -> None:
    """Write weights and card; the card last, so that a folder with a card is whole.

    The card says the refiner's constant, whatever it said before.
    """
    constant_C = refiner.constant_C.cpu()
    card = replace(card, constant=constant_C.tolist() if constant_C.any() else [])
    tensors = {name: value.contiguous().cpu() for name, value in refiner.state_dict().items()}
    write_bytes(join(folder, WEIGHTS), save_tensors(tensors))
    write_bytes(join(folder, CARD), json.dumps(asdict(card), indent=2).encode())


def load_checkpoint(
    folder: str, device: str = "cpu", spec: PoseSpec | None = None
) -> tuple[Refiner, ModelCard]:
    """Read a checkpoint folder (local or any storage URI).

    Args:
        folder: of weights and card.
        device: where the refiner goes.
        spec: the skeleton that it will refine, where it refines any: see
            `poise_models.general.general`. Others are of the track that they were trained on.

    Raises:
        CheckpointError: it is missing, damaged, of another format, or does not fit its own card.
    """
    if not exists(join(folder, CARD)):
        raise CheckpointError(
            f"{folder} holds no {CARD}: name a checkpoint folder or a model such as "
            "poise-uiprmd-kinect-3D@champion"
        )
    card = _card(join(folder, CARD))
    if card.format != FORMAT:
        raise CheckpointError(
            f"{folder} has checkpoint format {card.format}, this version reads {FORMAT}"
        )
    place = join(folder, WEIGHTS)
    try:
        tensors = _weights(place)
        if spec is None or card.refiner != General.name:
            spec = pose_spec(Track.parse(card.track))
        check_fits(card.refiner, spec, card.settings, tensors)
        refiner = catalogue.build(card.refiner, spec, card.settings)
        refiner.load_state_dict(tensors)
        if card.constant:
            refiner.constant_C = _constant(card.constant, spec)
    except (OSError, SafetensorError, RuntimeError, RefinerError) as error:
        said = printable(" ".join(str(error).split()))[:_SHOWN]
        raise CheckpointError(
            f"{place} does not fit {card.refiner} on {card.track}: {said}; train it again with "
            "this version of Poise, or use it with the version it is from"
        ) from error
    return refiner.to(device).eval(), card


def _card(place: str) -> ModelCard:
    if size(place) > _MOST_CARD_BYTES:
        raise CheckpointError(f"{place} is no checkpoint card: {size(place):,} bytes are too many")
    try:
        return _CARDS.validate_json(read_bytes(place))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        said = printable(f"{where} {first['msg']}".strip())[:_SHOWN]
        raise CheckpointError(f"{place} is no checkpoint card: {said}") from error


def _constant(numbers: list[float], spec: PoseSpec) -> Tensor:
    constant_C = torch.tensor(numbers)
    if len(constant_C) != spec.channels or not bool(constant_C.isfinite().all()):
        raise ConfigError(f"its constant is not {spec.channels} finite numbers")
    return constant_C


def _weights(place: str) -> dict[str, Tensor]:
    content = read_bytes(place)
    head = int.from_bytes(content[:8], "little")
    if head > _MOST_HEAD_BYTES:
        raise SafetensorError(f"{head:,} bytes say what it holds, too many for a network")
    found: dict[str, Tensor] = load_tensors(content)
    return found
