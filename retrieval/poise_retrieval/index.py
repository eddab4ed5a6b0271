"""An in-process index over the rows of one collection, for queries by the million.

Shape letters: N rows, B queries, K neighbours, E numbers of a vector.
"""

import logging
from collections.abc import Sequence
from typing import Any, Final, Self

import faiss
import numpy as np
from numpy.typing import NDArray

from poise_retrieval.errors import SubjectRuleError, VectorError
from poise_retrieval.neighbours import Neighbours, by_subject, checked_vectors

_log = logging.getLogger(__name__)

#: Up to so many rows the index searches exactly.
EXACT_ROWS: Final = 200_000
#: Above, it looks at as many cells as this share of the exact neighbours takes.
RECALL: Final = 0.99
#: Matrix products rank near ties by chance; so many runners-up are measured again.
_SPARE: Final = 8
_STEP: Final = 8192
_FIRST_PROBES: Final = 8
_POINTS_PER_CELL: Final = (39, 64)

_Places = NDArray[np.int64]
_Question = tuple[NDArray[np.float32], tuple[int, int], _Places]


class NeighbourIndex:
    """Nearest rows by squared L2, with one subject left out per query.

    Exact up to `EXACT_ROWS` rows, and then the same whatever else is in the batch, ties apart.
    Above, rows are clustered into cells (faiss IVF) and a query looks into the nearest ones. Not a
    graph: leaving out a query's own subject leaves out the whole neighbourhood that a graph search
    walks through, and on real motion HNSW then finds half of the true neighbours.

    Rows are kept in order of subject, so that a subject is one range.
    """

    def __init__(
        self,
        ids_N: NDArray[np.int64],
        vectors_NE: NDArray[np.float32],
        ranges: dict[str, tuple[int, int]],
    ) -> None:
        self._ids_N = ids_N
        self._vectors_NE = vectors_NE
        self._ranges = ranges
        self._cells: Any | None = None
        self._probes = _FIRST_PROBES

    @classmethod
    def build(
        cls,
        ids: NDArray[np.int64],
        vectors: NDArray[np.float32],
        subjects: Sequence[str] | NDArray[Any],
        exact_rows: int = EXACT_ROWS,
    ) -> Self:
        """Index rows; log the measured recall where the index is not exact.

        Args:
            ids: (N,) window ids.
            vectors: (N, E) float32.
            subjects: (N,) subject of each row.
            exact_rows: largest N that is searched exactly.

        Raises:
            VectorError: lengths differ, or a vector is not finite.
        """
        names = np.asarray(subjects, dtype=np.str_)
        vectors_NE = checked_vectors(vectors, np.shape(vectors)[-1], "rows of the index")
        if not len(ids) == len(names) == len(vectors_NE):
            raise VectorError(f"{len(ids)} ids, {len(vectors_NE)} vectors, {len(names)} subjects")
        order = np.argsort(names, kind="stable")
        found, starts, counts = np.unique(names[order], return_index=True, return_counts=True)
        ranges = {
            str(name): (int(start), int(start + count))
            for name, start, count in zip(found, starts, counts, strict=True)
        }
        index = cls(np.asarray(ids, np.int64)[order], vectors_NE[order], ranges)
        if len(index) > exact_rows:
            index._cluster()
        return index

    def __len__(self) -> int:
        return len(self._ids_N)

    @property
    def exact(self) -> bool:
        """Whether every search is exact."""
        return self._cells is None

    @property
    def width(self) -> int:
        """E, numbers of a vector."""
        return int(self._vectors_NE.shape[1])

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        exclude_subjects: Sequence[str | None] | None = None,
    ) -> Neighbours:
        """Find each query's k nearest rows that are not its excluded subject's.

        Args:
            queries: (B, E) float32.
            k: neighbours wanted.
            exclude_subjects: (B,) subject to leave out of each query's answer, or None.

        Raises:
            VectorError: wrong width, NaN, or not one subject for each query.
            SubjectRuleError: the index found a row it had to leave out.
        """
        queries_BE = checked_vectors(queries, self.width, "queries")
        result = Neighbours.none_found(len(queries_BE), k)
        for subject, rows in by_subject(exclude_subjects, len(queries_BE)):
            left_out = self._ranges.get(subject, (0, 0)) if subject is not None else (0, 0)
            for start in range(0, len(rows), _STEP):
                part = rows[start : start + _STEP]
                distances_BK, places_BK = self._search_group(queries_BE[part], k, left_out)
                _check_rule(places_BK, left_out, subject)
                kept = places_BK.shape[1]
                found_BK = places_BK >= 0
                ids_BK = np.where(found_BK, self._ids_N[places_BK], -1) if len(self) else places_BK
                result.ids_BK[part, :kept] = ids_BK
                result.distances_BK[part, :kept] = np.where(found_BK, distances_BK, np.inf)
        return result

    def measure_recall(self, k: int = 3, sample: int = 512, seed: int = 0) -> float:
        """Measure the share of the exact k nearest neighbours that `search` finds.

        The sampled rows ask for neighbours of other subjects, the question of training.
        """
        return self._recall(self._questions(k, sample, seed))

    def _cluster(self) -> None:
        least, most = _POINTS_PER_CELL
        count, width = self._vectors_NE.shape
        cells = max(min(int(4 * count**0.5), count // least), 1)
        untyped: Any = faiss
        self._cells = untyped.IndexIVFFlat(
            untyped.IndexFlatL2(width), width, cells, faiss.METRIC_L2
        )
        self._cells.cp.max_points_per_centroid = most
        self._cells.train(self._vectors_NE)
        self._cells.add(self._vectors_NE)
        questions = self._questions(3, 512, 0)
        self._probes = min(_FIRST_PROBES, cells)
        while (recall := self._recall(questions)) < RECALL and self._probes < cells:
            self._probes = min(2 * self._probes, cells)
        _log.info(
            "clustered %d rows into %d cells; looking into %d finds %.4f of the 3 nearest",
            *(count, cells, self._probes, recall),
        )

    def _questions(self, k: int, sample: int, seed: int) -> list[_Question]:
        rng = np.random.default_rng(seed)
        places = rng.choice(len(self), min(sample, len(self)), replace=False)
        questions = []
        for own in self._ranges.values():
            queries_BE = self._vectors_NE[places[(places >= own[0]) & (places < own[1])]]
            if len(queries_BE):
                questions.append((queries_BE, own, self._search_exact(queries_BE, k, own)[1]))
        return questions

    def _recall(self, questions: list[_Question]) -> float:
        hits = wanted = 0
        for queries_BE, own, truth_BK in questions:
            _, found_BK = self._search_group(queries_BE, truth_BK.shape[1], own)
            hits += int((truth_BK[:, :, None] == found_BK[:, None]).sum())
            wanted += truth_BK.size
        return hits / wanted if wanted else 1.0

    def _search_group(
        self, queries_BE: NDArray[np.float32], k: int, left_out: tuple[int, int]
    ) -> tuple[NDArray[np.float32], _Places]:
        if self._cells is None or k == 0:
            return self._search_exact(queries_BE, k, left_out)
        untyped: Any = faiss  # its stubs leave out what follows
        inside = untyped.IDSelectorRange(*left_out)
        parameters = untyped.SearchParametersIVF(
            sel=untyped.IDSelectorNot(inside), nprobe=self._probes
        )
        distances_BK, places_BK = self._cells.search(queries_BE, k, params=parameters)
        return distances_BK, places_BK

    def _search_exact(
        self, queries_BE: NDArray[np.float32], k: int, left_out: tuple[int, int]
    ) -> tuple[NDArray[np.float32], _Places]:
        places = []
        for start, stop in ((0, left_out[0]), (left_out[1], len(self))):
            wanted = min(k + _SPARE, stop - start)
            if wanted > 0:
                _, local = faiss.knn(queries_BE, self._vectors_NE[start:stop], wanted)
                places.append(local + start)
        if not places:
            nothing = np.empty((len(queries_BE), 0), np.int64)
            return nothing.astype(np.float32), nothing
        places_BK = np.concatenate(places, axis=1)
        gaps_BKE = self._vectors_NE[places_BK] - queries_BE[:, None]
        exact_BK = np.square(gaps_BKE).sum(-1, dtype=np.float32)
        best_BK = np.lexsort((self._ids_N[places_BK], exact_BK), axis=1)[:, :k]
        return (
            np.take_along_axis(exact_BK, best_BK, 1),
            np.take_along_axis(places_BK, best_BK, 1),
        )


def _check_rule(places_BK: _Places, left_out: tuple[int, int], subject: str | None) -> None:
    broken = (places_BK >= left_out[0]) & (places_BK < left_out[1])
    if broken.any():
        raise SubjectRuleError(f"the index found rows of subject {subject!r}, which was excluded")
