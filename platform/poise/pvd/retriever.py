"""Neighbours for sequences the lake has never seen, as the service and evaluation need them.

There are two search backends. Where the published collection fits into memory, its rows are read
once into an in-process index, from the lake where it has them, which answers in less than a
millisecond and needs no Milvus any more. Where it does not, Milvus is asked every time. The
neighbours' poses come from the lake.
"""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Final, Literal

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from torch import Tensor

from poise.catalog.tracks import Track
from poise.lake.ids import WINDOW
from poise.lake.manifest import Manifest, Pvd, part_paths, read_manifest
from poise.lake.split_index import SplitIndex
from poise.pvd.node_index import Shard, load_index
from poise.pvd.pose_bank import PoseBank
from poise.runtime.errors import LakeError
from poise.runtime.retry import retry
from poise.runtime.storage import Location
from poise_models.base.refiner import Refiner
from poise_models.base.window_refiner import WindowRefiner
from poise_models.base.windows import unfold
from poise_retrieval.errors import RetrievalError, StoreUnavailableError
from poise_retrieval.geometry.embedding import EMBEDDING_VERSION, embed
from poise_retrieval.index.neighbour_index import NeighbourIndex, index_bytes
from poise_retrieval.milvus.store import PoseStore
from poise_retrieval.neighbours import Neighbours

log = logging.getLogger(__name__)

#: Seconds to wait for a Milvus that does not answer, before going without it.
PATIENCE_S = 5.0
#: Of free memory, what an index may take: there may be other replicas, and one is built beside it.
MEMORY_SHARE: Final = 0.25
#: Windows asked for at once where time is short: under a second of a busy Milvus at six million
#: rows, so that a long sequence is no reason to call it away.
_PIECE: Final = 256

SearchBackend = Literal["index", "milvus"]


def choose_search_backend(rows: int, width: int, lite: bool, memory: int) -> SearchBackend:
    """Choose what searches a collection: an index in this process, or Milvus.

    Args:
        rows: of the collection.
        width: numbers of a vector.
        lite: whether the Milvus is Milvus Lite, which spends half a microsecond on every row at
            every call: it is never worth asking.
        memory: bytes that are free.
    """
    fits = index_bytes(rows, width) <= MEMORY_SHARE * memory
    return "index" if lite or fits else "milvus"


def retrieves(refiner: Refiner) -> bool:
    """Say whether a refiner looks at neighbours, and at windows as long as the PVD's."""
    if not isinstance(refiner, WindowRefiner) or not refiner.uses_neighbours:
        return False
    return refiner.window == WINDOW


class Retriever:
    """The nearest training pose of every window, brought into the window's frame.

    Args:
        lake: where the track's train split is.
        track: a track with a PVD.
        milvus_uri: the Milvus that holds its collection.
        search_backend: what searches; None leaves it to `choose_search_backend`.
        budget_s: seconds that `find` waits for an answer of Milvus; None leaves it to the store.
        neighbours: poses to find for a window, K.

    Raises:
        LakeError: the lake lacks the track, or the track has no PVD that this embedding can ask.
        StoreUnavailableError: Milvus does not answer.
    """

    def __init__(
        self,
        lake: Location,
        track: Track,
        milvus_uri: str,
        search_backend: SearchBackend | None = None,
        budget_s: float | None = None,
        neighbours: int = 1,
    ) -> None:
        manifest = read_manifest(lake, track)
        pvd = _pvd_to_ask(manifest, lake)
        self.track = track
        self._lake, self._manifest, self._alias = lake, manifest, pvd.alias
        self._budget_s, self._neighbours = budget_s, neighbours
        self._store = PoseStore(milvus_uri)
        # Before the rows are read: what is published meanwhile then counts as a change.
        self._collection = retry(lambda: self._store.resolve(self._alias), PATIENCE_S)
        rows, width = pvd.rows, pvd.width
        free = psutil.virtual_memory().available
        self.search_backend = search_backend or choose_search_backend(
            rows, width, self._store.one_writer, free
        )
        if self.search_backend == "milvus":
            # A Milvus that was started again loads the collection at the first search, which may
            # take minutes: no request waits for that.
            first = np.zeros((1, width), np.float32)
            retry(lambda: self._store.search(self._alias, first, k=1), PATIENCE_S)
        train = SplitIndex.read(lake, manifest, "train")
        self.bank = PoseBank.read(train)
        self.index: NeighbourIndex | None = None
        if self.search_backend == "index":
            self.index = self._open(train, pvd)
            self._store.close()
        log.info(
            "PVD of %s: %d windows of %s, searched by %s (an index takes %.2f of %.1f GB free)",
            track,
            rows,
            self._collection,
            "an index here" if self.search_backend == "index" else "Milvus",
            index_bytes(rows, width) / 1e9,
            free / 1e9,
        )

    def _open(self, train: SplitIndex, pvd: Pvd) -> NeighbourIndex:
        """Open the index of the published rows, which the lake may have in files."""
        paths = part_paths(self._lake, self._manifest, "vectors", "train")
        if paths and self._collection == pvd.collection:
            every = Shard(train, tuple(paths), 0, train.windows, pvd.width, pvd.exclude)
            try:
                return every.open()
            except LakeError as error:
                log.warning("%s; the rows are read from Milvus instead", error)
        return load_index(self._store.uri, self._alias, PATIENCE_S)

    def stale(self) -> bool:
        """Say whether another collection is published by now; False where nobody answers."""
        try:
            if self._store.resolve(self._alias) not in (None, self._collection):
                return True
            return read_manifest(self._lake, self.track) != self._manifest
        except (RetrievalError, LakeError, OSError) as error:
            log.info("Cannot see whether the PVD of %s changed: %s", self.track, error)
            return False
        finally:
            if self.index is not None:  # an idle connection keeps pinging
                self._store.close()

    def close(self) -> None:
        """Close the connection to Milvus."""
        self._store.close()

    def find(self, detected_FC: Tensor) -> tuple[Tensor, Tensor]:
        """Neighbours of a sequence's windows, (N, K, T, C), and squared distances, (N, K).

        Raises:
            StoreUnavailableError: Milvus searches, and does not answer (within the budget).
        """
        return self.find_windows(unfold(detected_FC, WINDOW))

    def find_windows(self, detected_NTC: Tensor) -> tuple[Tensor, Tensor]:
        """Neighbours of windows (N, T, C): (N, K, T, C), best first, and distances (N, K)."""
        info = self.track.info
        # In double precision, so that the digits do not depend on what else is asked with them.
        query = embed(detected_NTC.double(), info.skeleton, self.track.representation)
        if self.index is not None:
            found = self.index.search(query.numpy(), k=self._neighbours)
        else:
            found = self._ask(query.numpy())
        ids_NK, distances_NK = torch.from_numpy(found.ids_BK), torch.from_numpy(found.distances_BK)
        return self.bank.neighbours(detected_NTC, ids_NK, distances_NK)

    def _ask(self, queries_BE: NDArray[np.float32]) -> Neighbours:
        search = partial(self._store.search, self._alias, k=self._neighbours)
        if self._budget_s is None:
            return search(queries_BE)
        pieces = [
            self._in_time(partial(search, queries_BE[start : start + _PIECE]), self._budget_s)
            for start in range(0, len(queries_BE), _PIECE)
        ]
        return Neighbours(
            np.concatenate([piece.ids_BK for piece in pieces]),
            np.concatenate([piece.distances_BK for piece in pieces]),
        )

    def _in_time(self, call: Callable[[], Neighbours], seconds: float) -> Neighbours:
        # Not by the client's own timeouts: one search is several calls, and loading a collection
        # that Milvus forgot is another. The thread is left behind, and ends with the connection.
        answer: Future[Neighbours] = Future()

        def run() -> None:
            try:
                answer.set_result(call())
            except Exception as error:  # is raised where the answer is awaited
                answer.set_exception(error)

        threading.Thread(target=run, name="pvd-search", daemon=True).start()
        try:
            return answer.result(seconds)
        except TimeoutError:
            self._store.close()
            raise StoreUnavailableError(
                f"Milvus at {self._store.uri} has not answered a search in {seconds:g} s"
            ) from None


def _pvd_to_ask(manifest: Manifest, lake: Location) -> Pvd:
    track, pvd = manifest.track, manifest.pvd
    if pvd is None:
        raise LakeError(f"{track} was ingested without a PVD: there is nothing to retrieve")
    if pvd.embedding != EMBEDDING_VERSION:
        raise LakeError(
            f"the PVD of {track} is of embedding {pvd.embedding}, and this Poise asks with "
            f"{EMBEDDING_VERSION}: run poise pvd rebuild {lake} {track}"
        )
    return pvd
