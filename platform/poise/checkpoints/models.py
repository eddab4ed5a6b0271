"""A model by its name, loaded: it comes with Poise, lies in a folder, or is registered."""

from poise.checkpoints.checkpoint import CARD, ModelCard, load_checkpoint
from poise.checkpoints.shipped import shipped
from poise.runtime.storage import exists, join
from poise_models.base.pose_spec import PoseSpec
from poise_models.base.refiner import Refiner


def load_model(
    model: str, tracking_uri: str | None = None, spec: PoseSpec | None = None
) -> tuple[Refiner, ModelCard]:
    """Load a model.

    Args:
        model: ``poise:general``, a checkpoint's folder or URI, or a registered model (``name``,
            ``name@alias``, ``name/version``).
        tracking_uri: of the registry; None takes that of the environment's settings.
        spec: as in `load_checkpoint`.

    Raises:
        ModelError: the name leads nowhere, or the registry does not answer.
        CheckpointError: the checkpoint cannot be loaded.
    """
    folder = shipped(model, spec.dims) if spec else shipped(model)
    if folder is None:
        folder = model if exists(join(model, CARD)) else _registered(model, tracking_uri)
    return load_checkpoint(folder, spec=spec)


def _registered(model: str, tracking_uri: str | None) -> str:
    from poise.checkpoints.registry import resolve  # imports MLflow, which takes seconds
    from poise.runtime.settings import Settings

    return resolve(model, tracking_uri or Settings.load().tracking_uri)
