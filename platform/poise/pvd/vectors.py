"""Vectors of windows: of detections to search the PVD, of truth as parts beside the lake's others.

Shape letters: B windows at a time, E numbers of a vector.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

import numpy as np
import pyarrow as pa
import ray
from numpy.typing import NDArray

from poise.lake.ids import encode
from poise.lake.manifest import part_folder
from poise.lake.parts import read_part, window_ranges, write_part
from poise.lake.poses import Pose, windows_between
from poise.lake.schemas import vector_schema
from poise.lake.split_index import SplitIndex
from poise.runtime.errors import LakeError
from poise.runtime.places import cannot_write
from poise_retrieval.geometry.embedding import embed

Floats = NDArray[np.float32]

_COLUMNS: Final[dict[str, pa.DataType]] = {
    "part": pa.string(),
    "path": pa.string(),
    "rows": pa.int64(),
    "error": pa.string(),
}
#: What `write_vectors` yields, and what takes its parts up hands on.
RECEIPT: Final = pa.schema(_COLUMNS)


def write_vectors(train: SplitIndex, lake: str) -> ray.data.Dataset:
    """Embed every window of truth, and write the vectors: a task for each part, in lake order.

    Returns:
        A stream of rows of `RECEIPT`, one a part, that come as parts are written. What went wrong
        is in ``error``; Ray would wrap an exception, and log a page about it.
    """
    parts = [{"number": number} for number in range(len(window_ranges(train.windows)))]
    tasks = ray.data.from_items(parts, override_num_blocks=max(len(parts), 1))
    options = {"train": ray.put(train), "lake": lake}
    return tasks.map_batches(_write_part, batch_size=1, batch_format="numpy", fn_kwargs=options)


def embedded(index: SplitIndex, begin: int, end: int, pose: Pose) -> Iterator[Floats]:
    """Embed the windows of these numbers, in lake order, (B, E) at a time; raises as `read_poses`.

    The vectors of a window depend, in their last digits, on where the range begins.
    """
    skeleton, representation = index.track.info.skeleton, index.track.representation
    for windows_BTC in windows_between(index, begin, end, pose):
        yield embed(windows_BTC, skeleton, representation).numpy()


def vectors_of(table: pa.Table) -> Floats:
    """Return the vectors of rows of a part, (B, E)."""
    column: Any = table.column("vector")
    # Combining copies, even a single chunk.
    values = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    flat: Floats = values.flatten().to_numpy()
    return flat.reshape(table.num_rows, -1)


def read_vectors(path: str) -> tuple[NDArray[np.int64], Floats, "pa.ChunkedArray[Any]"]:
    """Return ids, vectors and subjects of a part; raise `LakeError` where it cannot be read."""
    table = read_part(path)
    return table.column("window_id").to_numpy(), vectors_of(table), table.column("subject")


@lru_cache(maxsize=2)
def shared(reference: "ray.ObjectRef[Any]") -> Any:
    """Get an object once for all tasks of a worker that want it."""
    return ray.get(reference)


def _write_part(batch: dict[str, NDArray[Any]], train: "ray.ObjectRef[Any]", lake: str) -> pa.Table:
    index: SplitIndex = shared(train)
    folder = part_folder(lake, index.track, "vectors", "train")
    (number,) = batch["number"].tolist()
    begin, end = window_ranges(index.windows)[number]
    name = error = ""
    try:
        table = _table(index, begin, end)
        name = write_part(folder, number, table.schema, [table])
    except LakeError as reason:
        error = str(reason)
    except OSError as reason:
        error = f"{index.track}: {cannot_write(lake, reason)}"
    row = {"part": name, "path": f"{folder}/{name}", "rows": end - begin, "error": error}
    return pa.Table.from_pylist([row], RECEIPT)


def _table(index: SplitIndex, begin: int, end: int) -> pa.Table:
    vectors_BE = np.concatenate(list(embedded(index, begin, end, "truth")))
    row_B, start_B = index.places(np.arange(begin, end))
    subjects = pa.array(index.subjects, pa.string()).take(pa.array(row_B, pa.int64()))
    flat = pa.array(vectors_BE.reshape(-1), pa.float32())
    columns: list[pa.Array[Any]] = [
        pa.array(encode(index.ids_S[row_B], start_B)),
        subjects,
        pa.FixedSizeListArray.from_arrays(flat, vectors_BE.shape[1]),
    ]
    return pa.Table.from_arrays(columns, schema=vector_schema(vectors_BE.shape[1]))
