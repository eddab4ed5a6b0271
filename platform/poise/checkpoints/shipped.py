"""Checkpoints that come with the package: no training, no registry, no network."""

from pathlib import Path
from typing import Final

import poise_models.general
from poise.catalog.dataset_file import Representation
from poise.runtime.errors import ModelError

#: The general network, for any skeleton.
GENERAL: Final = "poise:general"
_PREFIX: Final = "poise:"
_WEIGHTS: Final = Path(poise_models.general.__file__).parent / "weights"


def shipped(model: str, representation: Representation = "3D") -> str | None:
    """Return the folder of a checkpoint that comes with Poise; None for any other name.

    Raises:
        ModelError: no such model comes with Poise, or none for these poses.
    """
    if not model.startswith(_PREFIX):
        return None
    if model != GENERAL:
        raise ModelError(f"{model}: only {GENERAL} comes with Poise")
    folder = _WEIGHTS / representation
    if not folder.is_dir():
        raise ModelError(f"{GENERAL} refines joints' places in 2D and 3D, not {representation}")
    return str(folder)
