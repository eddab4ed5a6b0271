"""What a neighbour search answers, whether in this process or in Milvus.

Shape letters: B queries, K neighbours of a query.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from poise_retrieval.errors import VectorError

_BLOCK: Final = 65_536


@dataclass(frozen=True)
class Neighbours:
    """The K nearest stored windows of each query, nearest first.

    Attributes:
        ids_BK: window ids; -1 where fewer than K rows may be found.
        distances_BK: squared L2; infinity where the id is -1.
    """

    ids_BK: NDArray[np.int64]
    distances_BK: NDArray[np.float32]

    @classmethod
    def none_found(cls, queries: int, k: int) -> "Neighbours":
        """Return an answer without any neighbour, for the search to fill in."""
        ids_BK = np.full((queries, k), -1, np.int64)
        return cls(ids_BK, np.full((queries, k), np.inf, np.float32))

    def merged(self, other: "Neighbours") -> "Neighbours":
        """Return the K nearest of two answers to one question, from rows that both do not share.

        Of equal distances the lower id is first, as in a search of all rows at once.
        """
        ids = np.concatenate([self.ids_BK, other.ids_BK], 1)
        distances = np.concatenate([self.distances_BK, other.distances_BK], 1)
        best_BK = np.lexsort((ids, distances), axis=1)[:, : self.ids_BK.shape[1]]
        return Neighbours(
            np.take_along_axis(ids, best_BK, 1), np.take_along_axis(distances, best_BK, 1)
        )


def by_subject(
    exclude: Sequence[str | None] | None, queries: int
) -> Iterator[tuple[str | None, NDArray[np.int64]]]:
    """Group queries by the subject they must not find.

    Args:
        exclude: one subject or None for each query; None where nothing is excluded.
        queries: B.

    Yields:
        (subject, the queries' indices).

    Raises:
        VectorError: ``exclude`` does not name one subject for each query.
    """
    if exclude is None:
        yield None, np.arange(queries)
        return
    if len(exclude) != queries:
        raise VectorError(
            f"{len(exclude)} subjects to exclude for {queries} queries: give one each"
        )
    groups: dict[str | None, list[int]] = {}
    for row, subject in enumerate(exclude):
        groups.setdefault(subject, []).append(row)
    for subject, rows in groups.items():
        yield subject, np.asarray(rows, np.int64)


def checked_vectors(vectors: NDArray[np.floating], width: int, what: str) -> NDArray[np.float32]:
    """Return vectors as contiguous float32; refuse a wrong width, NaN and infinity.

    Milvus itself accepts NaN, and such a row then hides its neighbours.

    Raises:
        VectorError: naming the first bad row.
    """
    checked = np.ascontiguousarray(vectors, np.float32)
    if checked.ndim != 2 or checked.shape[1] != width:
        raise VectorError(f"{what} must be (rows, {width}), got {checked.shape}")
    for begin in range(0, len(checked), _BLOCK):
        finite = np.isfinite(checked[begin : begin + _BLOCK]).all(1)
        if not finite.all():
            row = begin + int(np.argmin(finite))
            raise VectorError(f"{what}: row {row} holds NaN or infinity; leave that window out")
    return checked
