"""The windows table of a split: every window with its neighbours, written and read back.

Shape letters: S sequences, N windows of a split, B of one table, K neighbours.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from poise.lake.ids import Ints, encode
from poise.lake.manifest import Manifest, part_folder, part_paths
from poise.lake.parts import read_part, row_group_sizes, window_ranges, write_part
from poise.lake.schemas import NEIGHBOURS, window_schema
from poise.lake.split_index import Bools, SplitIndex
from poise.runtime.errors import LakeError
from poise.runtime.storage import Location
from poise_retrieval.neighbours import Neighbours


def write_windows_part(
    lake: Location, index: SplitIndex, number: int, neighbours: Neighbours | None = None
) -> str:
    """Write one of a split's windows parts, some 60 bytes a row before packing; return its name.

    Args:
        lake: where.
        index: of the split.
        number: of the part; its windows are those of `window_ranges`.
        neighbours: of these windows, in lake order; None for none.
    """
    begin, end = window_ranges(index.windows)[number]
    folder = part_folder(lake, index.track, "windows", index.split)
    rows = _rows(index, np.arange(begin, end), neighbours)
    return write_part(folder, number, window_schema(), [rows])


def read_neighbours(
    lake: Location, manifest: Manifest, index: SplitIndex, wanted_S: Bools | None = None
) -> Neighbours:
    """Read the neighbours of the windows of some sequences, row after row of the table.

    Args:
        lake: where.
        manifest: of the track.
        index: of the split.
        wanted_S: which sequences; all where None.

    Raises:
        LakeError: the track has no PVD, or its windows do not match its sequences.
    """
    if manifest.pvd is None:
        raise LakeError(
            f"{index.track} was ingested without a PVD, so its windows have no neighbours; "
            f"poise pvd rebuild {lake} {index.track} adds them"
        )
    wanted_S = np.ones(len(index), np.bool_) if wanted_S is None else wanted_S
    wanted_N = np.repeat(wanted_S, index.windows_S)
    found = Neighbours.none_found(int(wanted_N.sum()), NEIGHBOURS)
    seen = put = 0
    for path in part_paths(lake, manifest, "windows", index.split):
        for group in range(len(row_group_sizes(path))):
            some = neighbours_of(read_part(path, _COLUMNS, group))
            keep = wanted_N[seen : seen + len(some.ids_BK)]
            seen += len(some.ids_BK)
            if len(keep) < len(some.ids_BK):
                break
            here = slice(put, put + int(keep.sum()))
            found.ids_BK[here], found.distances_BK[here] = (
                some.ids_BK[keep],
                some.distances_BK[keep],
            )
            put = here.stop
    if seen != len(wanted_N):
        raise LakeError(
            f"{index.track}: {index.split} windows and sequences do not match; "
            f"run poise ingest --track {index.track} --force"
        )
    return found


def neighbours_of(table: pa.Table) -> Neighbours:
    """Return the neighbours in the rows of a windows table."""
    ids_BK, distances_BK = (_lists(table.column(name)) for name in _COLUMNS)
    return Neighbours(ids_BK, distances_BK)


_COLUMNS = ["neighbour_ids", "neighbour_distances"]


def _rows(index: SplitIndex, number_B: Ints, neighbours: Neighbours | None) -> pa.Table:
    row_B, start_B = index.places(number_B)
    sequence_B = index.ids_S[row_B]
    near = neighbours or Neighbours.none_found(len(number_B), NEIGHBOURS)
    columns: list[pa.Array[Any]] = [
        pa.array(encode(sequence_B, start_B)),
        pa.array(sequence_B),
        pa.array(start_B, pa.int32()),
        pa.array(index.subjects, pa.string()).take(pa.array(row_B, pa.int64())),
        _fixed_lists(near.ids_BK),
        _fixed_lists(near.distances_BK),
    ]
    return pa.Table.from_arrays(columns, schema=window_schema())


def _fixed_lists(values_BK: NDArray[np.int64] | NDArray[np.float32]) -> "pa.Array[Any]":
    return pa.FixedSizeListArray.from_arrays(pa.array(values_BK.reshape(-1)), values_BK.shape[1])


def _lists(column: Any) -> NDArray[Any]:
    # Combining copies, even a single chunk.
    values = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    flat: NDArray[Any] = values.flatten().to_numpy()
    return flat.reshape(-1, NEIGHBOURS)
