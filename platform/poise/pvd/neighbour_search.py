"""The neighbours of all windows of a split, by an index over the PVD's rows.

Queries come by the million, so they go to an index in this process, built from the collection's
rows, and not to Milvus.
"""

from collections.abc import Callable
from contextlib import closing

import numpy as np
from numpy.typing import NDArray

from poise.lake.ids import Ints
from poise.lake.manifest import Exclude
from poise.lake.schemas import NEIGHBOURS
from poise.lake.split_index import SplitIndex
from poise.pvd.vectors import vectors_of, window_vectors
from poise.runtime.errors import LakeError
from poise.runtime.retry import retry
from poise_retrieval.index.neighbour_index import NeighbourIndex
from poise_retrieval.milvus.store import PoseStore
from poise_retrieval.neighbours import Neighbours


def load_index(
    uri: str, collection: str, patience_s: float, train: SplitIndex | None = None
) -> NeighbourIndex:
    """Build the in-process index from the rows Milvus holds.

    Args:
        uri: the Milvus.
        collection: or an alias.
        patience_s: how long to wait for a Milvus that does not answer.
        train: where given, searches of the index leave out its takes instead of subjects.

    Raises:
        LakeError: the collection changed while it was read.
        StoreUnavailableError: Milvus stayed away.
    """
    with closing(PoseStore(uri)) as store:
        ids_N, vectors_NE, subjects = retry(lambda: _read(store, collection), patience_s)
    labels = subjects if train is None else _labels(train, "take", ids_N)
    return NeighbourIndex.build(ids_N, vectors_NE, labels)


def find_neighbours(
    database: NeighbourIndex,
    queries: SplitIndex,
    exclude: Exclude | None,
    progress: Callable[[int], None],
) -> Neighbours:
    """Find the neighbours of every detected window of a split, in lake order.

    Args:
        database: the train split's truth windows, of `load_index`.
        queries: the split.
        exclude: what a window's neighbours must not share with it, as the index was loaded for;
            None where any will do, which is never so in training.
        progress: callback with the number of windows searched so far.

    Raises:
        LakeError: Ray Data lost a window.
    """
    found = Neighbours.none_found(queries.windows, NEIGHBOURS)
    answered_N = np.zeros(queries.windows, np.bool_)
    blocks = window_vectors(queries, "detected")
    for table in blocks.iter_batches(batch_size=None, batch_format="pyarrow"):
        if not table.num_rows:
            continue
        ids_B = table.column("window_id").to_numpy()
        apart = None if exclude is None else _labels(queries, exclude, ids_B)
        hits = database.search(vectors_of(table), NEIGHBOURS, apart)
        at_B = table.column("position").to_numpy()
        found.ids_BK[at_B] = hits.ids_BK
        found.distances_BK[at_B] = hits.distances_BK
        answered_N[at_B] = True
        progress(int(answered_N.sum()))
    if not answered_N.all():
        lost = len(answered_N) - int(answered_N.sum())
        raise LakeError(f"{lost} of {len(answered_N)} windows came back unsearched")
    return found


def _labels(index: SplitIndex, rule: Exclude, window_ids_B: Ints) -> list[str]:
    """Return the subject or take of each window."""
    label_S = np.array(index.kept_apart(rule), object)
    labels: list[str] = label_S[index.rows_of(window_ids_B)].tolist()
    return labels


def _read(
    store: PoseStore, collection: str
) -> tuple[NDArray[np.int64], NDArray[np.float32], list[str]]:
    """Read all rows into arrays of their final size: six million vectors may not fit twice."""
    count, at = store.count(collection), 0
    ids_N = np.empty(count, np.int64)
    vectors_NE: NDArray[np.float32] | None = None
    known: dict[str, str] = {}
    subjects: list[str] = []
    for ids_B, vectors_BE, subjects_B in store.rows(collection):
        if vectors_NE is None:
            vectors_NE = np.empty((count, vectors_BE.shape[1]), np.float32)
        here = slice(at, at + len(ids_B))
        at = here.stop
        if at <= count:
            ids_N[here], vectors_NE[here] = ids_B, vectors_BE
            subjects += [known.setdefault(name, name) for name in subjects_B]
    if at != count or vectors_NE is None:
        raise LakeError(
            f"collection {collection} at {store.uri} gave {at} rows of {count}: it is empty, or "
            "another process writes to it; let that end, then try again"
        )
    return ids_N, vectors_NE, subjects
