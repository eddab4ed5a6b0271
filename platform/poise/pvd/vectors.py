"""Vectors of windows, as a Ray Data stream: of truth for the PVD, of detections to search it."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import ray
from numpy.typing import NDArray

from poise.catalog.tracks import Track
from poise.lake.ids import encode, window_index
from poise.lake.parts import read_part
from poise.lake.poses import Pose, gather_windows, pose_frames
from poise.lake.split_index import SplitIndex
from poise_retrieval.geometry.embedding import embed


def window_vectors(index: SplitIndex, pose: Pose) -> ray.data.Dataset:
    """Embed every window of a split; each task embeds one row group.

    Rows: ``position`` (number of the window in lake order), ``window_id``, ``subject``, ``vector``
    (E float32). They arrive in any order; ``position`` says where they belong.
    """
    pieces = []
    at = 0
    for group in index.groups:
        pieces.append({"path": group.path, "group": group.number, "at": at})
        at += int(index.windows_S[group.rows].sum())
    options = {"pose": pose, "track": str(index.track)}
    tasks = ray.data.from_items(pieces, override_num_blocks=max(len(pieces), 1))
    return tasks.map_batches(_embed_group, batch_size=1, batch_format="numpy", fn_kwargs=options)


def vectors_of(table: pa.Table) -> NDArray[np.float32]:
    """Return the vectors of a block of `window_vectors`, (B, E)."""
    column: Any = table.column("vector").combine_chunks()
    flat: NDArray[np.float32] = column.flatten().to_numpy()
    return flat.reshape(table.num_rows, -1)


def _embed_group(batch: dict[str, NDArray[Any]], pose: Pose, track: str) -> Iterator[pa.Table]:
    info, representation = Track.parse(track).info, Track.parse(track).representation
    for path, group, at in zip(batch["path"], batch["group"], batch["at"], strict=True):
        table = read_part(str(path), ["sequence_id", "subject", "frames", pose], int(group))
        frames_FC = pose_frames(table, pose)
        if frames_FC is None:
            raise ValueError(f"{path}: sequences without {pose}")
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
