"""The lake in which a model finds its neighbours: the home's own, else that of its training."""

import logging

from poise.catalog.tracks import Track
from poise.checkpoints.checkpoint import ModelCard
from poise.lake.manifest import has_track, manifest_hash, read_manifest
from poise.runtime.errors import CheckpointError, LakeError
from poise.runtime.settings import Settings

log = logging.getLogger(__name__)


def lake_of(settings: Settings, card: ModelCard | None) -> str:
    """Return the lake to read for a model.

    It is the one that was asked for. Else it is the home's where that holds the track as the model
    was trained on it, also where the home has been moved or copied since. Else it is the one of
    the training, if it still is there; a folder outside the home is said in the log.

    Args:
        settings: where the home is, and whether a lake was asked for.
        card: of the model; None where there is none.

    Raises:
        CheckpointError: its lake is a chain of addresses.
    """
    trained = card.lake if card else None
    if card is None or not trained or "lake" in settings.model_fields_set:
        return settings.lake
    if trained == settings.lake:
        return trained
    if "::" in trained:
        # fsspec's chains: caches, archives, and files that say which others to fetch.
        raise CheckpointError(
            f"the checkpoint says it was trained on the lake {trained:.200}, which is several "
            "addresses in one and not followed; say with --lake where its track is"
        )
    if "://" in trained:
        log.warning("the lake of %s's training is asked for: %s", card.refiner, trained)
        return trained
    track = Track.parse(card.track)
    at_home = _manifest(settings.lake, track)
    if (at_home is not None and at_home == card.manifest) or not has_track(trained, track):
        return settings.lake
    log.warning(
        "%s of %s is read in %s, where it was trained on it: %s does not hold it like that "
        "(--lake names another)",
        track,
        card.refiner,
        trained,
        settings.lake,
    )
    return trained


def _manifest(lake: str, track: Track) -> str | None:
    try:
        return manifest_hash(read_manifest(lake, track))
    except LakeError:
        return None
