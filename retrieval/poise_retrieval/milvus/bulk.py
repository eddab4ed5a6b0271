"""Bulk import: a full-size Milvus reads files of rows, without its log of single writes.

Milvus does not notice rows that are imported twice. So only a collection made for the import is
filled this way, and one whose import ended early is dropped and filled again.
Shape letters: B rows, E numbers of a vector.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from poise_retrieval.errors import ImportFailedError, RefusedError, VectorError
from poise_retrieval.milvus.connection import Connection
from poise_retrieval.milvus.packing import (
    ID,
    KEY,
    SUBJECT,
    VECTOR,
    check_subjects,
    checked_ids,
    subject_keys,
)
from poise_retrieval.neighbours import checked_vectors

#: A segment holds no rows of two files, so small files make many segments to search.
_FILE_BYTES: Final = 128 * 2**20


def rows_of_a_file(width: int) -> int:
    """Return how many rows of ``width`` numbers go into one file."""
    return max(_FILE_BYTES // (4 * width), 1)


def import_table(
    ids: NDArray[np.int64], vectors: NDArray[np.float32], subjects: Sequence[str]
) -> pa.Table:
    """Make the table that Milvus imports as a Parquet file.

    Args:
        ids: (B,) window ids; `check_once` those of all files together.
        vectors: (B, E) float32.
        subjects: (B,) subject of each window.

    Raises:
        VectorError: NaN, lengths that differ, a subject over 256 bytes.
    """
    vectors_BE = checked_vectors(vectors, np.shape(vectors)[-1], "rows to import")
    ids_B = checked_ids(ids, len(vectors_BE))
    check_subjects(subjects, len(vectors_BE))
    offsets = np.arange(0, vectors_BE.size + 1, vectors_BE.shape[1], dtype=np.int32)
    # Not lists of fixed size, which servers before 2026 refuse.
    lists: Any = pa.ListArray
    columns: dict[str, Any] = {
        ID: pa.array(ids_B),
        VECTOR: lists.from_arrays(pa.array(offsets), pa.array(vectors_BE.reshape(-1))),
        SUBJECT: pa.array(subjects, pa.string()),
        KEY: pa.array(subject_keys(subjects), pa.int64()),
    }
    return pa.table(columns)


def check_once(ids_B: NDArray[np.int64]) -> None:
    """Check that no id comes twice.

    Raises:
        VectorError: one does.
    """
    once, times = np.unique(ids_B, return_counts=True)
    if (times > 1).any():
        raise VectorError(
            f"id {once[times > 1][0]} comes {times.max()} times, and an import keeps all its rows: "
            "leave one"
        )


class BulkImport:
    """Imports of files into one collection; they go on in the server without this object.

    Every call may raise `StoreUnavailableError`.

    Args:
        uri: a full-size Milvus; Lite cannot import.
        collection: made by `PoseStore.create`; to be sealed when all imports are done.
        timeout_s: longest wait for an answer, not for an import.
    """

    def __init__(self, uri: str, collection: str, timeout_s: float = 30.0) -> None:
        self._connection = Connection(uri, timeout_s)
        self._collection = collection
        self._running: dict[int, str] = {}
        self._rows: dict[int, int] = {}

    @property
    def done(self) -> bool:
        """Whether all imports had ended at the last `look`."""
        return not self._running

    @property
    def rows(self) -> int:
        """Rows that Milvus had read at the last `look`."""
        return sum(self._rows.values())

    def start(self, file: str) -> None:
        """Start the import of one file.

        Args:
            file: its path as the server knows it: in the bucket that Milvus keeps its own data in,
                without the bucket's name; for a server that keeps them in a folder, in full.

        Raises:
            ImportFailedError: the server does not take it.
        """
        try:
            job = self._connection.direct("do_bulk_insert", self._collection, "", [file])
        except RefusedError as error:
            raise ImportFailedError(f"{self._what(file)}: {error}") from error
        self._running[int(job)] = file

    def look(self) -> None:
        """Ask for the state of all imports.

        Raises:
            ImportFailedError: one of them failed; the message has the server's reason.
        """
        for job, file in list(self._running.items()):
            state = self._connection.direct("get_bulk_insert_state", job)
            self._rows[job] = int(state.row_count)
            if state.state_name.startswith("Failed"):
                raise ImportFailedError(f"{self._what(file)}: {state.failed_reason}")
            if state.state_name == "Completed":
                del self._running[job]

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _what(self, file: str) -> str:
        return f"{self._connection.uri} could not import {file} into {self._collection}"
