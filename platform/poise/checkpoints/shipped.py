"""Checkpoints that come with the package: no training, no registry, no network."""

from typing import Final

from poise.catalog.dataset_file import Representation
from poise.runtime.errors import ModelError
from poise_models.general.shipped import ShippedGeneral, folder
from poise_retrieval.geometry.skeletons import DIMS

#: The general network, for any skeleton.
GENERAL: Final = ShippedGeneral.name
_PREFIX: Final = "poise:"


def shipped(model: str, representation: Representation = "3D") -> str | None:
    """Return the folder of a checkpoint that comes with Poise; None for any other name.

    Raises:
        ModelError: no such model comes with Poise, or none for these poses.
    """
    if not model.startswith(_PREFIX):
        return None
    if model != GENERAL:
        raise ModelError(f"{model}: only {GENERAL} comes with Poise")
    found = folder(DIMS[representation])
    if found is None:
        raise ModelError(f"{GENERAL} refines joints' places in 2D and 3D, not {representation}")
    return str(found)
