"""A checkpoint's network as a file that runs without Poise, checked before it gets its name."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from poise.checkpoints.checkpoint import ModelCard
from poise.checkpoints.models import load_model
from poise.runtime.errors import ModelError
from poise_models import export
from poise_models.base.window_refiner import WindowRefiner

#: Largest difference of an exported network from its checkpoint, on random windows.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Exported:
    """A file that was written.

    Attributes:
        title: the refiner's.
        track: what it was trained on.
        inputs: shape of one window of each input, by name.
        difference: largest difference from the checkpoint on random windows.
    """

    title: str
    track: str
    inputs: dict[str, tuple[int, ...]]
    difference: float


def export_network(model: str, out: Path, tracking_uri: str) -> Exported:
    """Write a network as ONNX (``.onnx``) or as a program of torch.export (``.pt2``).

    Args:
        model: a checkpoint's folder or URI, or a registered model.
        out: the file; an older one gives way.
        tracking_uri: where registered models are looked up.

    Raises:
        ModelError: the model is not there or no network, the file cannot be of that name, or the
            written network differs from the checkpoint by more than `TOLERANCE`.
        CheckpointError: the checkpoint cannot be loaded.
    """
    if out.suffix not in (".onnx", ".pt2"):
        raise ModelError(f"{out}: name a file that ends in .onnx, or in .pt2 for torch.export")
    if not out.parent.is_dir():
        raise ModelError(f"{out}: there is no folder {out.parent}")
    refiner, card = load_model(model, tracking_uri)
    if not isinstance(refiner, WindowRefiner):
        raise ModelError(
            f"{model}: {refiner.title} is no network, there is nothing to export; it runs on "
            "whole sequences, in NumPy and SciPy"
        )
    try:
        difference = _write(refiner, card, out)
    except export.ExportError as error:
        raise ModelError(f"{model}: {error}") from error
    windows = export.random_windows(refiner, 1)
    inputs = {name: tuple(value.shape[1:]) for name, value in windows.items()}
    return Exported(refiner.title, card.track, inputs, difference)


def _write(network: WindowRefiner, card: ModelCard, out: Path) -> float:
    write = export.write_onnx if out.suffix == ".onnx" else export.write_program
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".export-") as scratch:
        draft = Path(scratch, out.name)
        write(network, draft, {"track": card.track, "seed": str(card.seed)})
        difference = export.largest_difference(network, draft)
        if difference > TOLERANCE:
            raise ModelError(
                f"{out} was not written: what it returns differs from the checkpoint by "
                f"{difference:.1e}, more than {TOLERANCE:g}"
            )
        os.replace(draft, out)
    return difference
