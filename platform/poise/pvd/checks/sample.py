"""Some training windows of the lake, and what an exact search over streamed rows finds for them.

Shape letters: N windows of the sample, Q queries, B rows of a page, K neighbours, E numbers of a
vector.
"""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from poise.lake.ids import Ints
from poise.lake.poses import read_windows
from poise.lake.schemas import NEIGHBOURS
from poise.lake.split_index import SplitIndex
from poise_retrieval.geometry.embedding import embed

Floats = NDArray[np.float32]

_QUERIES: Final = 500
#: Distances that differ by less are a tie, whose order means nothing.
_TIE_RELATIVE: Final = 1e-4
_TIE: Final = 1e-5


@dataclass(frozen=True)
class Sample:
    """Some training windows, as the database must hold them, and what training asks with them.

    Attributes:
        ids_N: sorted.
        vectors_NE: of their truth, made anew.
        queries_QE: vectors of the detections of some of them.
        subjects_Q: subjects of those.
    """

    ids_N: Ints
    vectors_NE: Floats
    queries_QE: Floats
    subjects_Q: list[str]

    @classmethod
    def draw(cls, index: SplitIndex, count: int, seed: int) -> Self:
        """Draw ``count`` windows of a split and read their poses."""
        sequence_N, ids_N = index.every_window()
        rng = np.random.default_rng(seed)
        chosen = np.sort(rng.choice(len(ids_N), min(count, len(ids_N)), replace=False))
        asked = np.sort(rng.permutation(chosen)[:_QUERIES])
        skeleton, representation = index.track.info.skeleton, index.track.representation
        sorted_N = np.sort(ids_N[chosen])
        return cls(
            sorted_N,
            embed(read_windows(index, sorted_N, "truth"), skeleton, representation).numpy(),
            embed(read_windows(index, ids_N[asked], "detected"), skeleton, representation).numpy(),
            [index.subjects[row] for row in sequence_N[asked]],
        )


class ExactSearch:
    """The K nearest rows of other subjects for each query, over rows that come page by page."""

    def __init__(self, sample: Sample) -> None:
        self._queries_QE = sample.queries_QE
        self._subject_Q1 = np.array(sample.subjects_Q, np.str_)[:, None]
        self._best_QK = np.full((len(self._queries_QE), NEIGHBOURS), np.inf, np.float32)

    def add(self, vectors_BE: Floats, subject_B: NDArray[np.str_]) -> None:
        """Search a page of rows."""
        square_Q1 = np.square(self._queries_QE).sum(1)[:, None]
        products_QB = self._queries_QE @ vectors_BE.T
        gap_QB = (square_Q1 + np.square(vectors_BE).sum(1) - 2 * products_QB).clip(0)
        gap_QB[self._subject_Q1 == subject_B] = np.inf
        both = np.concatenate([self._best_QK, gap_QB], axis=1)
        self._best_QK = np.sort(np.partition(both, NEIGHBOURS - 1)[:, :NEIGHBOURS])

    def recall_of(self, found_QK: Floats) -> float:
        """Share of the exact neighbours that were found, or others as near."""
        there_QK = np.isfinite(self._best_QK)
        farthest_Q1 = np.where(there_QK, self._best_QK, 0).max(1, keepdims=True)
        hits_Q = (found_QK <= farthest_Q1 * (1 + _TIE_RELATIVE) + _TIE).sum(1)
        wanted_Q = there_QK.sum(1)
        return float(np.minimum(hits_Q, wanted_Q).sum() / max(wanted_Q.sum(), 1))
