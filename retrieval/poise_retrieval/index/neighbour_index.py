"""An index in this process over the rows of one collection, for millions of queries.

Shape letters: N rows, B queries, K neighbours, E numbers of a vector.
"""

import json
import logging
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any, Final, Self

import faiss
import numpy as np
from numpy.typing import NDArray

from poise_retrieval.errors import SubjectRuleError, VectorError
from poise_retrieval.index.cells import COMPONENT_BYTES, Cells, Floats, Places, Range
from poise_retrieval.neighbours import Neighbours, by_subject, checked_vectors

_log = logging.getLogger(__name__)

#: To be raised where the same rows give other files than before.
INDEX_VERSION: Final = 2
#: Up to so many rows the index searches exactly: 1416 queries then take a quarter of a second.
EXACT_ROWS: Final = 100_000
#: Above, it looks at as many cells as this share of the exact neighbours takes.
RECALL: Final = 0.99
#: Asked for on the sample at build, so that chance does not leave less in earnest.
_AIM: Final = 0.993
_SAMPLE: Final = 512
#: Cells to look into, tried one after the other; then all of them.
_PROBES: Final = (8, 16, 24, 32, 40, 48, 64, 96, 128, 192, 256, 384, 512, 1024)
#: Candidates measured again on the whole vector, many first: mostly they cost less than more cells.
_CANDIDATES: Final = (64, 32, 16)
#: A number of a candidate costs so many of a row in a cell: it lies anywhere in memory.
_ANYWHERE: Final = 10
#: Matrix products rank near ties by chance; so many runners-up are measured again.
_SPARE: Final = 8
_STEP: Final = 8192
#: From so many numbers in the queries on, faiss compares by matrix products. Its own 128,000 (1,523
#: queries) make a batch of 1416 five times as slow.
_PRODUCTS_FROM: Final = 1344
#: From so many queries on it pays to search with several threads.
_SPLIT: Final = 64
_BLOCK: Final = 262_144
_FACTS, _IDS, _ORDER = "index.json", "ids.npy", "order.npy"

_Question = tuple[Floats, Range]


class NeighbourIndex:
    """Nearest rows by squared L2, with one subject left out per query.

    It is exact up to `EXACT_ROWS` rows; an answer then does not depend on the rest of its batch,
    ties apart. Above, cells over principal components propose rows (see `Cells`), which are ranked
    by their whole vectors. A graph (HNSW) would find half of the true neighbours in real motion:
    leaving out a query's own subject removes the neighbourhood that a graph search walks through.

    Rows are ordered by subject, so that a subject is one range of places. An index that is not
    exact does not copy the caller's vectors, which must not change.
    """

    def __init__(
        self, ids_N: Places, vectors_NE: Floats, order_N: Places | None, ranges: dict[str, Range]
    ) -> None:
        self._ids_N = ids_N
        self._vectors_NE = vectors_NE
        self._order_N = order_N
        self._ranges = ranges
        self._cells: Cells | None = None
        self._probes, self._candidates = _PROBES[0], _CANDIDATES[0]
        self._built_recall = 1.0
        # Its default is for products that all threads share.
        faiss.cvar.distance_compute_blas_threshold = _PRODUCTS_FROM

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
        vectors_NE = checked_vectors(vectors, np.shape(vectors)[-1], "rows of the index")
        if not len(ids) == len(subjects) == len(vectors_NE):
            raise VectorError(
                f"{len(ids)} ids, {len(vectors_NE)} vectors, {len(subjects)} subjects"
            )
        order_N, ranges = _by_name(subjects)
        ids_N = np.asarray(ids, np.int64)[order_N]
        if len(ids_N) <= exact_rows:
            return cls(ids_N, vectors_NE[order_N], None, ranges)
        index = cls(ids_N, vectors_NE, order_N, ranges)
        index._cluster()
        return index

    def write(self, folder: Path) -> None:
        """Write an index that is not exact, without its vectors, for `open`.

        Args:
            folder: an empty one.
        """
        assert self._cells is not None  # noqa: S101
        self._cells.write(folder)
        np.save(folder / _IDS, self._ids_N)
        np.save(folder / _ORDER, np.asarray(self._order_N))
        facts = [self._ranges, self._probes, self._candidates, self._built_recall]
        (folder / _FACTS).write_text(json.dumps(facts))

    @classmethod
    def open(cls, folder: Path, vectors: NDArray[np.float32]) -> Self:
        """Open a written index; of its files and these vectors, processes share one copy in memory.

        Args:
            folder: what `write` was given.
            vectors: (N, E), those it was built of; mapped from a file, they stay there.
        """
        ids_N, order_N = (
            np.asarray(np.load(folder / name, mmap_mode="r")) for name in (_IDS, _ORDER)
        )
        ranges, probes, candidates, recall = json.loads((folder / _FACTS).read_bytes())
        places = {name: (begin, end) for name, (begin, end) in ranges.items()}
        index = cls(ids_N, np.asarray(vectors), order_N, places)
        index._probes, index._candidates, index._built_recall = probes, candidates, recall
        index._cells = Cells.open(folder)
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

    @property
    def recall(self) -> float:
        """Share of the 3 nearest neighbours that a sample found at build; 1 if exact."""
        return self._built_recall

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        exclude_subjects: Sequence[str | None] | None = None,
        exactly: bool = False,
    ) -> Neighbours:
        """Find each query's k nearest rows that are not its excluded subject's.

        Args:
            queries: (B, E) float32.
            k: neighbours wanted.
            exclude_subjects: (B,) subject to leave out of each query's answer, or None.
            exactly: look at all rows, to see what others would have found.

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
                asked_BE = queries_BE[part]
                if exactly:
                    distances_BK, places_BK = self._exact([(asked_BE, left_out)], k)[0]
                else:
                    distances_BK, places_BK = self._side_by_side(asked_BE, k, left_out)
                _check_rule(places_BK, left_out, subject)
                kept = places_BK.shape[1]
                found_BK = places_BK >= 0
                ids_BK = np.where(found_BK, self._ids_N[places_BK], -1) if len(self) else places_BK
                result.ids_BK[part, :kept] = ids_BK
                result.distances_BK[part, :kept] = distances_BK
        return result

    def _cluster(self) -> None:
        self._cells = Cells.build(self._rows, len(self), self.width)
        cells = len(self._cells)
        self._tune([*(probes for probes in _PROBES if probes < cells), cells])
        _log.log(
            logging.INFO if self._built_recall >= RECALL else logging.WARNING,
            "clustered %d rows into %d cells; looking into %d finds %.4f of the 3 nearest",
            len(self),
            cells,
            self._probes,
            self._built_recall,
        )

    def _tune(self, every_probes: Sequence[int]) -> None:
        """Choose what finds enough at the least cost; measure what that finds."""
        questions = self._questions()
        truth = [places_BK for _, places_BK in self._exact(questions, 3)]
        assert self._cells is not None  # noqa: S101
        best, fewest, least = (every_probes[-1], _CANDIDATES[0]), 0, math.inf
        for candidates, probes in product(_CANDIDATES, every_probes):
            cost = probes * self._cells.cost + _ANYWHERE * candidates * self.width
            # With fewer candidates it takes no fewer cells.
            if cost >= least or probes < fewest:
                continue
            self._probes, self._candidates = probes, candidates
            if self._recall(questions, truth) >= _AIM:
                best, fewest, least = (probes, candidates), probes, cost
        self._probes, self._candidates = best
        self._built_recall = self._recall(questions, truth)

    def _questions(self) -> list[_Question]:
        """Draw rows that ask for neighbours of other subjects, the question of training."""
        rng = np.random.default_rng(0)
        places = rng.choice(len(self), min(_SAMPLE, len(self)), replace=False)
        questions = []
        for own in self._ranges.values():
            mine = places[(places >= own[0]) & (places < own[1])]
            if len(mine):
                questions.append((self._rows(mine), own))
        return questions

    def _recall(self, questions: list[_Question], truth: list[Places]) -> float:
        hits = wanted = 0
        for (queries_BE, own), truth_BK in zip(questions, truth, strict=True):
            _, found_BK = self._search_group(queries_BE, truth_BK.shape[1], own)
            hits += int((truth_BK[:, :, None] == found_BK[:, None]).sum())
            wanted += truth_BK.size
        return hits / wanted if wanted else 1.0

    def _side_by_side(self, queries_BE: Floats, k: int, left_out: Range) -> tuple[Floats, Places]:
        """Search with as many threads as there are, each with queries of its own.

        Otherwise faiss shares every matrix product among all threads, which wait for one another
        after each; where other work has one of the cores, that takes fifty times as long. And it
        searches cells with one thread only.
        """
        untyped: Any = faiss
        workers = untyped.omp_get_max_threads()
        if workers > 1 and len(queries_BE) >= _SPLIT:
            pieces = np.array_split(queries_BE, min(2 * workers, 2 * len(queries_BE) // _SPLIT))
            with ThreadPoolExecutor(
                workers, initializer=untyped.omp_set_num_threads, initargs=(1,)
            ) as pool:
                found = list(pool.map(lambda piece: self._search_group(piece, k, left_out), pieces))
            distances, places = zip(*found, strict=True)
            return np.concatenate(distances), np.concatenate(places)
        untyped.omp_set_num_threads(1)
        try:
            return self._search_group(queries_BE, k, left_out)
        finally:
            untyped.omp_set_num_threads(workers)

    def _search_group(self, queries_BE: Floats, k: int, left_out: Range) -> tuple[Floats, Places]:
        if self._cells is None or k == 0:
            return self._exact([(queries_BE, left_out)], k)[0]
        wanted = max(self._candidates, k + _SPARE)
        places_BK = self._cells.candidates(queries_BE, wanted, self._probes, left_out)
        return self._rank(queries_BE, places_BK, k)

    def _exact(self, questions: list[_Question], k: int) -> list[tuple[Floats, Places]]:
        near = self._near(questions, k)
        return [
            self._rank(queries_BE, places_BK, k)
            for (queries_BE, _), places_BK in zip(questions, near, strict=True)
        ]

    def _near(self, questions: list[_Question], k: int) -> list[Places]:
        """Propose places among which the k nearest are, in one pass over the rows."""
        near: list[list[Places]] = [
            [np.empty((len(queries_BE), 0), np.int64)] for queries_BE, _ in questions
        ]
        for begin in range(0, len(self), _BLOCK):
            end = min(begin + _BLOCK, len(self))
            rows_BE = self._rows(slice(begin, end))
            for (queries_BE, left_out), found in zip(questions, near, strict=True):
                for start, stop in ((begin, min(left_out[0], end)), (max(left_out[1], begin), end)):
                    wanted = min(k + _SPARE, stop - start)
                    if wanted > 0:
                        part_BE = rows_BE[start - begin : stop - begin]
                        found.append(faiss.knn(queries_BE, part_BE, wanted)[1] + start)
        return [np.concatenate(found, axis=1) for found in near]

    def _rank(self, queries_BE: Floats, places_BK: Places, k: int) -> tuple[Floats, Places]:
        """Measure candidates on the whole vector; of equal distances the lower id is first."""
        if not len(self):
            return np.empty(places_BK.shape, np.float32), places_BK
        gaps_BKE = self._rows(places_BK) - queries_BE[:, None]
        exact_BK = np.square(gaps_BKE, out=gaps_BKE).sum(-1, dtype=np.float32)
        exact_BK[places_BK < 0] = np.inf
        best_BK = np.lexsort((self._ids_N[places_BK], exact_BK), axis=1)[:, :k]
        return (
            np.take_along_axis(exact_BK, best_BK, 1),
            np.take_along_axis(places_BK, best_BK, 1),
        )

    def _rows(self, places: Places | slice) -> Floats:
        where = places if self._order_N is None else self._order_N[places]
        rows: Floats = self._vectors_NE[where]
        return rows


def index_bytes(rows: int, width: int) -> int:
    """Estimate the memory of an index: vectors, half of their components, and three ids a row."""
    components = 0 if rows <= EXACT_ROWS else width // 2
    return rows * (4 * width + COMPONENT_BYTES * components + 24)


def _by_name(subjects: Sequence[str] | NDArray[Any]) -> tuple[Places, dict[str, Range]]:
    """Order rows by subject; an array of names would take as much memory as their vectors."""
    known: dict[str, int] = {}
    code_N = np.fromiter(
        (known.setdefault(str(name), len(known)) for name in subjects), np.int32, len(subjects)
    )
    names = sorted(known)
    rank_S = np.empty(len(names), np.int32)
    rank_S[[known[name] for name in names]] = np.arange(len(names))
    rank_N = rank_S[code_N]
    ends_S = np.cumsum(np.bincount(rank_N, minlength=len(names)))
    starts_S = np.concatenate([np.zeros(1, np.int64), ends_S[:-1]]) if names else ends_S
    ranges = {
        name: (int(start), int(end))
        for name, start, end in zip(names, starts_S, ends_S, strict=True)
    }
    return np.argsort(rank_N, kind="stable"), ranges


def _check_rule(places_BK: Places, left_out: Range, subject: str | None) -> None:
    broken = (places_BK >= left_out[0]) & (places_BK < left_out[1])
    if broken.any():
        raise SubjectRuleError(f"the index found rows of subject {subject!r}, which was excluded")
