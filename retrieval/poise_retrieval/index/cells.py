"""Coarse search of millions of rows: cells (faiss IVF) over the first principal components.

Own code around faiss: an ``index_factory("PCA24,IVF1788,SQfp16")`` of 200,000 rows needs 1.2 to 1.5
times the CPU time at the same recall, as it looks for a query's cells once for each side of the
range that is left out.

Shape letters: N rows, B queries, P probed cells, K candidates, E numbers of a vector.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Self

import faiss
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Places = NDArray[np.int64]
Range = tuple[int, int]

#: What the components hold of the variance: of 84 numbers of a window, 24 on UI-PRMD and CMU.
_VARIANCE: Final = 0.965
_COMPONENTS_BY: Final = 8
#: In half precision: a search waits for memory, and whole vectors rank what it proposes.
COMPONENT_BYTES: Final = 2
_CELLS_PER_ROOT: Final = 4
_POINTS_PER_CELL: Final = 39
_PASSES: Final = 8
_BLOCK: Final = 65_536
_MEAN, _COMPONENTS, _CELLS = "mean.npy", "components.npy", "cells.faiss"


class Cells:
    """Proposes rows near a query, most of the nearest among them.

    Rows have places 0 .. N - 1. Within a cell they lie in order of place, so that a range of places
    is left out without looking at its rows: testing them one by one costs as much as measuring.
    """

    def __init__(self, mean_E: Floats, components_EC: Floats, index: Any) -> None:
        self._mean_E = mean_E
        self._components_EC = components_EC
        self._index = index

    @classmethod
    def build(cls, rows: Callable[[Places | slice], Floats], count: int, width: int) -> Self:
        """Cluster rows; the same rows give the same cells.

        Args:
            rows: function that returns the rows at given places, (B, E).
            count: N.
            width: E.
        """
        untyped: Any = faiss  # its stubs leave out what follows
        cells = max(min(int(_CELLS_PER_ROOT * count**0.5), count // _POINTS_PER_CELL), 1)
        some = min(count, max(_POINTS_PER_CELL * cells, _BLOCK))
        places = np.sort(np.random.default_rng(0).choice(count, some, replace=False))
        sample_BE = rows(places)
        mean_E = sample_BE.mean(0, dtype=np.float64)
        components_EC = _components(sample_BE - mean_E)
        dims = components_EC.shape[1]
        relative_to_centre = False
        index = untyped.IndexIVFScalarQuantizer(
            untyped.IndexFlatL2(dims),
            dims,
            cells,
            untyped.ScalarQuantizer.QT_fp16,
            faiss.METRIC_L2,
            relative_to_centre,
        )
        index.cp.niter = _PASSES
        index.cp.max_points_per_centroid = 2 * _POINTS_PER_CELL
        made = cls(mean_E.astype(np.float32), components_EC, index)
        index.train(made._project(sample_BE))
        for start in range(0, count, _BLOCK):
            index.add(made._project(rows(slice(start, start + _BLOCK))))
        return made

    def write(self, folder: Path) -> None:
        """Write files that `open` reads."""
        np.save(folder / _MEAN, self._mean_E)
        np.save(folder / _COMPONENTS, self._components_EC)
        faiss.write_index(self._index, str(folder / _CELLS))

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open written cells; their rows stay in the file, which processes share in memory."""
        untyped: Any = faiss
        flags = untyped.IO_FLAG_MMAP | untyped.IO_FLAG_READ_ONLY
        index = untyped.read_index(str(folder / _CELLS), flags)
        # Else every search starts threads that read cells which are in memory already.
        untyped.downcast_InvertedLists(index.invlists).prefetch_nthread = 0
        return cls(np.load(folder / _MEAN), np.load(folder / _COMPONENTS), index)

    def __len__(self) -> int:
        return int(self._index.nlist)

    @property
    def cost(self) -> float:
        """Numbers that are compared in one cell, on average."""
        return float(self._index.ntotal / len(self) * self._index.d)

    def candidates(self, queries_BE: Floats, k: int, probes: int, left_out: Range) -> Places:
        """Propose up to k places a query outside a range, -1 where there are fewer."""
        queries_BC = self._project(queries_BE)
        near_BP, cells_BP = self._index.quantizer.search(queries_BC, min(probes, len(self)))
        sides = [
            self._inside(queries_BC, k, near_BP, cells_BP, side)
            for side in ((0, left_out[0]), (left_out[1], int(self._index.ntotal)))
            if side[0] < side[1]
        ]
        if not sides:
            return np.empty((len(queries_BE), 0), np.int64)
        distances_BK, places_BK = (np.concatenate(found, 1) for found in zip(*sides, strict=True))
        if len(sides) == 1:
            return places_BK
        best_BK = np.argpartition(distances_BK, k, 1)[:, :k]
        return np.take_along_axis(places_BK, best_BK, 1)

    def _inside(
        self, queries_BC: Floats, k: int, near_BP: Floats, cells_BP: Places, side: Range
    ) -> tuple[Floats, Places]:
        untyped: Any = faiss
        pointer = untyped.swig_ptr
        distances_BK = np.empty((len(queries_BC), k), np.float32)
        places_BK = np.empty((len(queries_BC), k), np.int64)
        ids_rise_within_a_cell = True
        inside = untyped.IDSelectorRange(side[0], side[1], ids_rise_within_a_cell)
        store_pairs = False
        self._index.search_preassigned_c(
            len(queries_BC),
            pointer(queries_BC),
            k,
            pointer(cells_BP),
            pointer(near_BP),
            pointer(distances_BK),
            pointer(places_BK),
            store_pairs,
            untyped.SearchParametersIVF(sel=inside, nprobe=cells_BP.shape[1]),
        )
        return distances_BK, places_BK

    def _project(self, rows_BE: Floats) -> Floats:
        return np.ascontiguousarray((rows_BE - self._mean_E) @ self._components_EC)


def _components(centred_BE: Floats) -> Floats:
    variances_E, axes_EE = np.linalg.eigh(np.cov(centred_BE, rowvar=False, ddof=0, dtype=float))
    held_E = np.cumsum(variances_E[::-1])
    enough = int(np.searchsorted(held_E, _VARIANCE * held_E[-1])) + 1
    count = -(-enough // _COMPONENTS_BY) * _COMPONENTS_BY
    return np.ascontiguousarray(axes_EE[:, ::-1][:, :count], np.float32)
