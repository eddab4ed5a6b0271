"""Sequences and PVD to the windows table: every detected window with its nearest poses.

Queries come by the million, so they go to an exact or HNSW index in this process, built from the
collection's rows, and not to Milvus.
"""

import logging
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
import ray.data
from numpy.typing import NDArray

from poise.errors import LakeError
from poise.lake import NEIGHBOURS, part_folder, window_schema
from poise.parts import read_part, write_part
from poise.pvd import patiently
from poise.rows import Split, window_ids, window_index
from poise.tracks import Track
from poise.vectors import vectors_of
from poise_retrieval.index import NeighbourIndex
from poise_retrieval.store import PoseStore

log = logging.getLogger(__name__)

#: Rows of one windows part, some 60 bytes each before packing.
PART_ROWS = 1_000_000


@dataclass(frozen=True)
class Windows:
    """The windows of a split in lake order, N of them, without their neighbours."""

    sequence_N: NDArray[np.int64]
    start_N: NDArray[np.int32]
    subject_N: "pa.Array[Any]"

    @classmethod
    def of(cls, paths: list[str]) -> Self:
        """List the windows of sequence parts."""
        columns = ["sequence_id", "subject", "frames"]
        tables = [read_part(path, columns) for path in paths]
        table = pa.concat_tables(tables).combine_chunks()
        row_N, start_N = window_index(table.column("frames").to_numpy().astype(np.int64))
        sequence_N = table.column("sequence_id").to_numpy()[row_N]
        subject_N = table.column("subject").combine_chunks().take(row_N)
        return cls(sequence_N, start_N, subject_N)

    def __len__(self) -> int:
        return len(self.start_N)


@dataclass(frozen=True)
class Found:
    """Neighbours of N windows, best first: ids and squared distances, (N, K).

    -1 and infinity where there are fewer than K.
    """

    ids_NK: NDArray[np.int64]
    distances_NK: NDArray[np.float32]

    @classmethod
    def nothing(cls, windows: int) -> Self:
        """No neighbours for any window."""
        shape = (windows, NEIGHBOURS)
        return cls(np.full(shape, -1, np.int64), np.full(shape, np.inf, np.float32))


def load_index(uri: str, collection: str, patience_s: float) -> NeighbourIndex:
    """Build the in-process index from the rows Milvus holds."""
    with closing(PoseStore(uri)) as store:
        rows = patiently(lambda: list(store.rows(collection)), patience_s)
    ids, vectors, subjects = zip(*rows, strict=True)
    return NeighbourIndex.build(
        np.concatenate(ids), np.concatenate(vectors), [name for some in subjects for name in some]
    )


def search(
    index: NeighbourIndex,
    vectors: ray.data.Dataset,
    windows: int,
    *,
    own_subject: bool,
    progress: Callable[[int], None],
) -> Found:
    """Find the neighbours of all windows of a split.

    Args:
        index: over the train split's truth windows.
        vectors: `window_vectors` of the detections.
        windows: how many there are.
        own_subject: whether a neighbour may be of the window's own subject (never in training).
        progress: told the number of windows searched so far.
    """
    found = Found.nothing(windows)
    answered = np.zeros(windows, np.bool_)
    for table in vectors.iter_batches(batch_size=None, batch_format="pyarrow"):
        if not table.num_rows:
            continue
        excluded = None if own_subject else table.column("subject").to_pylist()
        hits = index.search(vectors_of(table), NEIGHBOURS, excluded)
        at = table.column("position").to_numpy()
        found.ids_NK[at] = hits.ids_BK
        found.distances_NK[at] = hits.distances_BK
        answered[at] = True
        progress(int(answered.sum()))
    if not answered.all():
        raise LakeError(f"{windows - answered.sum()} of {windows} windows came back unsearched")
    return found


def write_windows(
    lake: str, track: Track, split: Split, windows: Windows, found: Found
) -> list[str]:
    """Write a split's windows parts; return their names in row order."""
    columns = [
        pa.array(window_ids(windows.sequence_N, windows.start_N)),
        pa.array(windows.sequence_N),
        pa.array(windows.start_N),
        windows.subject_N,
        _lists(found.ids_NK),
        _lists(found.distances_NK),
    ]
    table = pa.Table.from_arrays(columns, schema=window_schema())
    folder = part_folder(lake, track, "windows", split)
    starts = range(0, table.num_rows, PART_ROWS)
    return [
        write_part(folder, index, table.slice(at, PART_ROWS)) for index, at in enumerate(starts)
    ]


def _lists(values_NK: NDArray[np.int64] | NDArray[np.float32]) -> "pa.Array[Any]":
    return pa.FixedSizeListArray.from_arrays(pa.array(values_NK.reshape(-1)), values_NK.shape[1])
