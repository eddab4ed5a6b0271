"""The data lake: what a track's Parquet parts hold, how rows are named, and how to read them.

One folder a track (``<lake>/<dataset>/<estimator>-<representation>``) with ``sequences/`` and
``windows/``, each split into parts whose names carry a hash of their content, and a
``manifest.json`` that says which parts count. The manifest is written last: a track is there when
its manifest is.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from poise.catalog.tracks import Track
from poise.lake.ids import Split
from poise.lake.manifest import (
    Manifest,
    read_manifest,
    track_folder,
)
from poise.lake.parts import read_part
from poise.readers.sequence import PoseSequence
from poise.runtime import storage

Kind = Literal["sequences", "windows"]
KINDS: tuple[Kind, ...] = ("sequences", "windows")

#: Neighbours kept for each window.
NEIGHBOURS = 3


def sequence_schema(channels: int) -> pa.Schema:
    """Return the schema of ``sequences``: one row a sequence, poses (F, C) in track units."""
    poses = pa.list_(pa.list_(pa.float32(), channels))
    fields: list[pa.Field[Any]] = [
        pa.field("sequence_id", pa.int64(), nullable=False),
        pa.field("sequence", pa.string(), nullable=False),
        pa.field("subject", pa.string(), nullable=False),
        pa.field("camera", pa.string()),
        pa.field("action", pa.string()),
        pa.field("take", pa.string()),
        pa.field("fps", pa.float32()),
        pa.field("frames", pa.int32(), nullable=False),
        pa.field("detected", poses, nullable=False),
        pa.field("truth", poses),
    ]
    return pa.schema(fields)


def window_schema() -> pa.Schema:
    """Return the schema of ``windows``: one row a window, its frames by reference.

    ``neighbour_ids`` are window ids of the train split, best first; -1 with an infinite distance
    where there are fewer. Distances are squared L2 in the embedding.
    """
    fields: list[pa.Field[Any]] = [
        pa.field("window_id", pa.int64(), nullable=False),
        pa.field("sequence_id", pa.int64(), nullable=False),
        pa.field("start", pa.int32(), nullable=False),
        pa.field("subject", pa.string(), nullable=False),
        # Not nullable: Parquet readers refuse a null among lists of fixed size.
        pa.field("neighbour_ids", pa.list_(pa.int64(), NEIGHBOURS), nullable=False),
        pa.field("neighbour_distances", pa.list_(pa.float32(), NEIGHBOURS), nullable=False),
    ]
    return pa.schema(fields)


def sequence_table(ids: Sequence[int], sequences: Sequence[PoseSequence]) -> pa.Table:
    """Put sequences into a table of `sequence_schema`; all have the same width C."""
    channels = sequences[0].detected_FC.shape[1]
    truths = [sequence.truth_FC for sequence in sequences]
    columns: list[pa.Array[Any]] = [
        pa.array(ids, pa.int64()),
        pa.array([sequence.name for sequence in sequences], pa.string()),
        pa.array([sequence.subject for sequence in sequences], pa.string()),
        pa.array([sequence.camera for sequence in sequences], pa.string()),
        pa.array([sequence.action for sequence in sequences], pa.string()),
        pa.array([sequence.take for sequence in sequences], pa.string()),
        pa.array([sequence.fps for sequence in sequences], pa.float32()),
        pa.array([len(sequence.detected_FC) for sequence in sequences], pa.int32()),
        _pose_column([sequence.detected_FC for sequence in sequences], channels),
        _pose_column(truths, channels),
    ]
    return pa.Table.from_arrays(columns, schema=sequence_schema(channels))


def pose_frames(
    table: pa.Table, column: Literal["detected", "truth"]
) -> NDArray[np.float32] | None:
    """Return all frames of a table one after the other, (F, C); None where a row has no truth."""
    values = _combined(table, column)
    if values.null_count:
        return None
    rows = values.flatten()
    flat: NDArray[np.float32] = rows.flatten().to_numpy()
    return flat.reshape(-1, rows.type.list_size)


def frame_offsets(table: pa.Table) -> NDArray[np.int64]:
    """Return where each row's frames begin in `pose_frames`, and the end: (rows + 1,)."""
    counts = table.column("frames").to_numpy()
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])


def neighbour_arrays(table: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the neighbour ids and squared distances of a windows table, both (N, K)."""
    ids = _combined(table, "neighbour_ids").flatten().to_numpy()
    distances = _combined(table, "neighbour_distances").flatten().to_numpy()
    return ids.reshape(-1, NEIGHBOURS), distances.reshape(-1, NEIGHBOURS)


def read_sequences(lake: storage.Location, track: Track, split: Split) -> pa.Table:
    """Return the sequences of a split; raise `LakeError` where the track is not in the lake."""
    return read_parts(lake, read_manifest(lake, track), "sequences", split)


def read_windows(lake: storage.Location, track: Track, split: Split) -> pa.Table:
    """Return the windows of a split; raise `LakeError` where the track is not in the lake."""
    return read_parts(lake, read_manifest(lake, track), "windows", split)


def read_parts(lake: storage.Location, manifest: Manifest, kind: Kind, split: Split) -> pa.Table:
    """Return the rows of the parts a manifest names."""
    info = manifest.track_name.info
    empty = sequence_schema(info.joints * info.dims) if kind == "sequences" else window_schema()
    tables = [read_part(path) for path in part_paths(lake, manifest, kind, split)]
    return pa.concat_tables(tables) if tables else empty.empty_table()


def part_paths(lake: storage.Location, manifest: Manifest, kind: Kind, split: Split) -> list[str]:
    """Return where the parts of a split are, in order; none where the track lacks the split."""
    summary = manifest.splits.get(split)
    if summary is None:
        return []
    names = summary.sequences_parts if kind == "sequences" else summary.windows_parts
    folder = part_folder(lake, manifest.track_name, kind, split)
    return [storage.join(folder, name) for name in names]


def part_folder(lake: storage.Location, track: Track, kind: Kind, split: Split) -> str:
    """Return the folder of a split's parts."""
    return storage.join(track_folder(lake, track), kind, f"split={split}")


def _pose_column(poses: Sequence[NDArray[np.float32] | None], channels: int) -> Any:
    lengths = np.array([0 if pose is None else len(pose) for pose in poses], np.int64)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)]).astype(np.int32)
    present = [pose for pose in poses if pose is not None]
    flat = np.concatenate(present) if present else np.zeros((0, channels), np.float32)
    rows = pa.FixedSizeListArray.from_arrays(pa.array(flat.reshape(-1), pa.float32()), channels)
    missing = pa.array([pose is None for pose in poses])
    lists: Any = pa.ListArray
    return lists.from_arrays(pa.array(offsets), rows, mask=missing)


def _combined(table: pa.Table, column: str) -> Any:
    values = table.column(column)
    # Combining copies, even a single chunk.
    return values.chunk(0) if values.num_chunks == 1 else values.combine_chunks()
