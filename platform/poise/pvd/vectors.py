"""Sequences in the lake to window vectors: the Ray Data stream both PVD and neighbours live on."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import ray
from numpy.typing import NDArray

from poise.catalog.tracks import Track
from poise.lake.ids import encode, window_count, window_index
from poise.lake.parts import read_part, row_group_sizes
from poise.lake.poses import gather_windows
from poise.lake.schemas import pose_frames as frames
from poise_retrieval.geometry.embedding import embed

Column = Literal["detected", "truth"]


def window_vectors(paths: Sequence[str], column: Column, track: Track) -> ray.data.Dataset:
    """Embed every window of the sequence parts, a row group a task.

    Rows: ``position`` (0.. in lake order over all paths), ``window_id``, ``subject``, ``vector``
    (E float32). They arrive in any order; ``position`` says where they belong.
    """
    pieces = []
    at = 0
    for path in paths:
        for group, windows in enumerate(row_group_windows(path)):
            pieces.append({"path": path, "group": group, "at": at})
            at += windows
    options = {"column": column, "track": str(track)}
    tasks = ray.data.from_items(pieces, override_num_blocks=max(len(pieces), 1))
    return tasks.map_batches(_embed_group, batch_size=1, batch_format="numpy", fn_kwargs=options)


def row_group_windows(path: str) -> list[int]:
    """Return how many windows each row group of a sequence part holds."""
    counts_S = read_part(path, ["frames"]).column("frames").to_numpy().astype(np.int64)
    rows = np.cumsum([0, *row_group_sizes(path)])
    return [int(window_count(counts_S[a:b]).sum()) for a, b in itertools.pairwise(rows)]


def vectors_of(table: pa.Table) -> NDArray[np.float32]:
    """Return the vectors of a block of `window_vectors`, (B, E)."""
    column: Any = table.column("vector").combine_chunks()
    flat: NDArray[np.float32] = column.flatten().to_numpy()
    return flat.reshape(table.num_rows, -1)


def _embed_group(batch: dict[str, NDArray[Any]], column: Column, track: str) -> Iterator[pa.Table]:
    info, representation = Track.parse(track).info, Track.parse(track).representation
    for path, group, at in zip(batch["path"], batch["group"], batch["at"], strict=True):
        table = read_part(str(path), ["sequence_id", "subject", "frames", column], int(group))
        frames_FC = frames(table, column)
        if frames_FC is None:
            raise ValueError(f"{path}: sequences without {column}")
        frames_S = table.column("frames").to_numpy().astype(np.int64)
        row_N, start_N = window_index(frames_S)
        ids_N = encode(table.column("sequence_id").to_numpy()[row_N], start_N)
        subjects_N = table.column("subject").combine_chunks().take(row_N)
        done = 0
        for windows_BTC in gather_windows(frames_FC, frames_S):
            vectors_BE = embed(windows_BTC, info.skeleton, representation).numpy()
            here = slice(done, done + len(vectors_BE))
            done = here.stop
            flat = pa.array(vectors_BE.reshape(-1), pa.float32())
            yield pa.table(
                {
                    "position": pa.array(np.arange(at + here.start, at + here.stop)),
                    "window_id": pa.array(ids_N[here]),
                    "subject": subjects_N[here],
                    "vector": pa.FixedSizeListArray.from_arrays(flat, vectors_BE.shape[1]),
                }
            )
