"""Sequences and PVD to the windows table: every detected window with its nearest poses.

Queries come by the million, so they go to an index in this process, built from the collection's
rows, and not to Milvus.
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

from poise.catalog.tracks import Track
from poise.lake.ids import Split, decode, encode, window_count
from poise.lake.parts import GROUP_ROWS, read_part, write_groups
from poise.lake.schemas import NEIGHBOURS, part_folder, window_schema
from poise.pvd.vectors import vectors_of
from poise.runtime.errors import LakeError
from poise.runtime.retry import retry
from poise_retrieval.index.neighbour_index import NeighbourIndex
from poise_retrieval.milvus.store import PoseStore

log = logging.getLogger(__name__)

#: Rows of one windows part, some 60 bytes each before packing and 30 after.
PART_ROWS = 4_194_304


@dataclass(frozen=True)
class Windows:
    """The windows of a split in lake order, listed by the S sequences they are of."""

    sequence_S: NDArray[np.int64]
    frames_S: NDArray[np.int64]
    subject_S: "pa.Array[Any]"

    @classmethod
    def of(cls, paths: list[str]) -> Self:
        """List the windows of sequence parts."""
        columns = ["sequence_id", "subject", "frames"]
        table = pa.concat_tables([read_part(path, columns) for path in paths]).combine_chunks()
        return cls(
            table.column("sequence_id").to_numpy(),
            table.column("frames").to_numpy().astype(np.int64),
            table.column("subject").combine_chunks(),
        )

    @property
    def ends_S(self) -> NDArray[np.int64]:
        """Where the windows of each sequence end, among those of the split."""
        return np.cumsum(window_count(self.frames_S))

    def __len__(self) -> int:
        return int(self.ends_S[-1]) if len(self.frames_S) else 0

    def rows(self, begin: int, end: int, found: "Found | None") -> pa.Table:
        """Return windows begin .. end - 1 in `window_schema`, with their neighbours."""
        ends_S = self.ends_S
        number_B = np.arange(begin, min(end, len(self)))
        row_B = np.searchsorted(ends_S, number_B, side="right")
        firsts_S = np.concatenate([np.zeros(1, np.int64), ends_S[:-1]])
        start_B = number_B - firsts_S[row_B]
        sequence_B = self.sequence_S[row_B]
        if found is None:
            found, number_B = Found.nothing(len(number_B)), np.arange(len(number_B))
        columns = [
            pa.array(encode(sequence_B, start_B)),
            pa.array(sequence_B),
            pa.array(start_B.astype(np.int32)),
            self.subject_S.take(pa.array(row_B, pa.int64())),
            _lists(found.ids_NK[number_B]),
            _lists(found.distances_NK[number_B]),
        ]
        return pa.Table.from_arrays(columns, schema=window_schema())


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


@dataclass(frozen=True)
class Takes:
    """The take of every sequence; its own name where the data set names none."""

    take_of: dict[int, str]

    @classmethod
    def of(cls, paths: list[str]) -> Self:
        """Read them off sequence parts."""
        take_of: dict[int, str] = {}
        for path in paths:
            rows = read_part(path, ["sequence_id", "sequence", "take"]).to_pylist()
            take_of |= {row["sequence_id"]: row["take"] or row["sequence"] for row in rows}
        return cls(take_of)

    def __call__(self, window_ids_B: NDArray[np.int64]) -> list[str]:
        """Take of each window."""
        return [self.take_of[sequence] for sequence in decode(window_ids_B)[0].tolist()]


def load_index(
    uri: str, collection: str, patience_s: float, takes: Takes | None = None
) -> NeighbourIndex:
    """Build the in-process index from the rows Milvus holds.

    Args:
        uri: the Milvus.
        collection: or an alias.
        patience_s: how long to wait for a Milvus that does not answer.
        takes: where given, searches of the index leave out takes instead of subjects.

    Raises:
        LakeError: the collection changed while it was read.
        StoreUnavailableError: Milvus stayed away.
    """
    with closing(PoseStore(uri)) as store:
        ids, vectors, subjects = retry(lambda: _read(store, collection), patience_s)
    return NeighbourIndex.build(ids, vectors, subjects if takes is None else takes(ids))


def _read(
    store: PoseStore, collection: str
) -> tuple[NDArray[np.int64], NDArray[np.float32], list[str]]:
    """Read all rows to where they stay: six million vectors do not fit twice everywhere."""
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


def search(
    index: NeighbourIndex,
    vectors: ray.data.Dataset,
    windows: int,
    *,
    excluded: Callable[[pa.Table], list[str]] | None,
    progress: Callable[[int], None],
) -> Found:
    """Find the neighbours of all windows of a split.

    Args:
        index: over the train split's truth windows.
        vectors: `window_vectors` of the detections.
        windows: how many there are.
        excluded: names what each row's neighbours must not be of, in the index's terms: subjects
            or takes. None where any will do, which is never so in training.
        progress: told the number of windows searched so far.
    """
    found = Found.nothing(windows)
    answered = np.zeros(windows, np.bool_)
    for table in vectors.iter_batches(batch_size=None, batch_format="pyarrow"):
        if not table.num_rows:
            continue
        hits = index.search(vectors_of(table), NEIGHBOURS, excluded and excluded(table))
        at = table.column("position").to_numpy()
        found.ids_NK[at] = hits.ids_BK
        found.distances_NK[at] = hits.distances_BK
        answered[at] = True
        progress(int(answered.sum()))
    if not answered.all():
        raise LakeError(f"{windows - answered.sum()} of {windows} windows came back unsearched")
    return found


def write_windows(
    lake: str, track: Track, split: Split, windows: Windows, found: Found | None
) -> list[str]:
    """Write a split's windows parts; return their names in row order."""
    folder = part_folder(lake, track, "windows", split)
    names = []
    for index, at in enumerate(range(0, len(windows), PART_ROWS)):
        end = min(at + PART_ROWS, len(windows))
        groups = (
            windows.rows(begin, min(begin + GROUP_ROWS, end), found)
            for begin in range(at, end, GROUP_ROWS)
        )
        names.append(write_groups(folder, index, window_schema(), groups))
    return names


def _lists(values_NK: NDArray[np.int64] | NDArray[np.float32]) -> "pa.Array[Any]":
    return pa.FixedSizeListArray.from_arrays(pa.array(values_NK.reshape(-1)), values_NK.shape[1])
