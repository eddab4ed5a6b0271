"""Checkpoints that come with the package: no training, no registry, no network."""

from typing import Final

from poise.runtime.errors import ModelError

#: The general network, for any skeleton.
GENERAL: Final = "poise:general"
_PREFIX: Final = "poise:"


def shipped(model: str, dims: int = 3) -> str | None:
    """Return the folder of a checkpoint that comes with Poise; None for any other name.

    Args:
        model: a name.
        dims: of the poses.

    Raises:
        ModelError: no such model comes with Poise, or none for these poses.
    """
    if not model.startswith(_PREFIX):
        return None
    if model != GENERAL:
        raise ModelError(f"{model}: only {GENERAL} comes with Poise")
    # Here: who only wants a filter does not wait for torch.
    from poise_models.general.shipped import folder

    found = folder(dims)
    if found is None:
        raise ModelError(
            f"{GENERAL} refines joints' places in 2D and 3D, not {dims} numbers a joint"
        )
    return str(found)
