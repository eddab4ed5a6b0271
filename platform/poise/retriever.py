"""Neighbours for sequences the lake has never seen: the service's and the evaluation's road.

The rows of the published collection are read from Milvus once, into an in-process index; from then
on Milvus may go away. The neighbours' poses come from the lake.
"""

import logging

import torch
from torch import Tensor

from poise import lake as lakes
from poise.errors import LakeError
from poise.loading import PoseBank, load_split
from poise.neighbours import load_index
from poise.storage import Location
from poise.tracks import Track
from poise_models.windows import unfold
from poise_retrieval.embedding import embed

log = logging.getLogger(__name__)

#: Seconds to wait for a Milvus that does not answer, before going without it.
PATIENCE_S = 5.0


class Retriever:
    """The nearest training pose of every window, brought into the window's frame.

    Args:
        lake: where the track's train split is.
        track: a track with a PVD.
        milvus_uri: the Milvus that holds its collection.

    Raises:
        LakeError: the lake lacks the track, or the track has no PVD.
        StoreUnavailableError: Milvus does not answer.
    """

    def __init__(self, lake: Location, track: Track, milvus_uri: str) -> None:
        manifest = lakes.read_manifest(lake, track)
        if manifest.pvd is None:
            raise LakeError(f"{track} was ingested without a PVD: there is nothing to retrieve")
        self.track = track
        self.bank = PoseBank(load_split(lake, track, "train"))
        self.index = load_index(milvus_uri, manifest.pvd.alias, PATIENCE_S)
        log.info("PVD of %s: %d windows in the index", track, len(self.index))

    def find(self, detected_FC: Tensor) -> tuple[Tensor, Tensor]:
        """Neighbours of a sequence's windows, (N, T, C), and squared distances, (N,)."""
        return self.find_windows(unfold(detected_FC, lakes.WINDOW))

    def find_windows(self, detected_NTC: Tensor) -> tuple[Tensor, Tensor]:
        """Neighbours of windows (N, T, C): the same shape, and squared distances (N,)."""
        info = self.track.info
        query = embed(detected_NTC, info.skeleton, self.track.representation)
        found = self.index.search(query.numpy(), k=1)
        ids_N = torch.from_numpy(found.ids_BK[:, 0].copy())
        distances_N = torch.from_numpy(found.distances_BK[:, 0].copy())
        return self.bank.neighbours(detected_NTC, ids_N, distances_N)
