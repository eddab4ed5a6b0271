"""What the columns of a track's Parquet parts are: of sequences, and of windows."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from poise.readers.sequence import PoseSequence

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


def vector_schema(width: int) -> pa.Schema:
    """Return the schema of ``vectors``: one row a window of truth, its embedding of E numbers."""
    fields: list[pa.Field[Any]] = [
        pa.field("window_id", pa.int64(), nullable=False),
        pa.field("subject", pa.string(), nullable=False),
        pa.field("vector", pa.list_(pa.float32(), width), nullable=False),
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


def _pose_column(poses: Sequence[NDArray[np.float32] | None], channels: int) -> Any:
    lengths = np.array([0 if pose is None else len(pose) for pose in poses], np.int64)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)]).astype(np.int32)
    present = [pose for pose in poses if pose is not None]
    flat = np.concatenate(present) if present else np.zeros((0, channels), np.float32)
    rows = pa.FixedSizeListArray.from_arrays(pa.array(flat.reshape(-1), pa.float32()), channels)
    missing = pa.array([pose is None for pose in poses])
    lists: Any = pa.ListArray
    return lists.from_arrays(pa.array(offsets), rows, mask=missing)
