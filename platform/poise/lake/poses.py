"""The poses of a split: of whole sequences, of a row group, or of some windows by their ids.

Shape letters: S sequences, B windows at a time, T frames of a window, F frames of all sequences,
C values of a frame.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from poise.lake.ids import WINDOW, Ints, decode, window_index
from poise.lake.parts import read_part
from poise.lake.split_index import Bools, RowGroup, SplitIndex
from poise.runtime.errors import LakeError
from poise.runtime.ray_cluster.join import available_cpus

Floats = NDArray[np.float32]
Pose = Literal["detected", "truth"]
POSES: tuple[Pose, ...] = ("detected", "truth")

#: Windows gathered at once: 8192 x 8 frames x 51 values are 13 MB.
_CHUNK = 8192


def read_poses(
    index: SplitIndex, poses: Sequence[Pose], wanted_S: Bools | None = None
) -> dict[Pose, Floats]:
    """Read the frames of sequences, one sequence after the other: (F, C) of each pose.

    Several row groups are read at once.

    Args:
        index: of the split.
        poses: what to read.
        wanted_S: which sequences; all where None.

    Raises:
        LakeError: a part cannot be read, or holds other frames than the index says.
    """
    wanted_S = np.ones(len(index), np.bool_) if wanted_S is None else wanted_S
    kept_S = np.where(wanted_S, index.frames_S, 0)
    ends_S = np.cumsum(kept_S)
    found = {pose: np.empty((int(kept_S.sum()), index.width), np.float32) for pose in poses}

    def fill(group: RowGroup) -> None:
        if not wanted_S[group.rows].any():
            return
        end = int(ends_S[group.rows.stop - 1])
        at = slice(end - int(kept_S[group.rows].sum()), end)
        for pose, frames_FC in read_row_group(index, group, poses, wanted_S).items():
            found[pose][at] = frames_FC

    with ThreadPoolExecutor(min(available_cpus(), 8)) as threads:
        for _ in threads.map(fill, index.groups):
            pass
    return found


def read_row_group(
    index: SplitIndex, group: RowGroup, poses: Sequence[Pose], wanted_S: Bools
) -> dict[Pose, Floats]:
    """Read the poses of a row group's wanted sequences, (F, C) each; raises as `read_poses`."""
    table = read_part(group.path, list(poses), group.number)
    keep_F = np.repeat(wanted_S[group.rows], index.frames_S[group.rows])
    found: dict[Pose, Floats] = {}
    for pose in poses:
        frames_FC = pose_frames(table, pose)
        if frames_FC is None or len(frames_FC) != len(keep_F):
            raise LakeError(
                f"{group.path}: {pose} of {index.track} does not fit its frames; "
                f"run poise ingest --track {index.track} --force"
            )
        found[pose] = frames_FC if keep_F.all() else frames_FC[keep_F]
    return found


def read_windows(index: SplitIndex, ids_B: Ints, pose: Pose) -> Floats:
    """Read windows (B, T, C) by window id, in the order asked for; reads only their sequences.

    Args:
        index: of the split.
        ids_B: window ids, in any order, also several times.
        pose: which of the poses.

    Raises:
        LakeError: a window is not of this split, or as `read_poses`.
    """
    frames_FC, first_B, end_B = _frames_of(index, index.rows_of(ids_B), decode(ids_B)[1], pose)
    return _gather(frames_FC, first_B, end_B)


def gather_windows(frames_FC: Floats, frames_S: Ints) -> Iterator[Floats]:
    """Yield all windows of S sequences in the order of `window_index`, (B, T, C) at a time.

    Args:
        frames_FC: the sequences' frames one after the other.
        frames_S: frames of each.
    """
    end_S = np.cumsum(frames_S)
    row_N, start_N = window_index(frames_S)
    for at in range(0, len(row_N), _CHUNK):
        row_B = row_N[at : at + _CHUNK]
        first_B = (end_S - frames_S)[row_B] + start_N[at : at + _CHUNK]
        yield _gather(frames_FC, first_B, end_S[row_B])


def windows_between(index: SplitIndex, begin: int, end: int, pose: Pose) -> Iterator[Floats]:
    """Yield the windows of these numbers in lake order, (B, T, C) at a time.

    Only their sequences' row groups are read. Raises as `read_poses`.
    """
    frames_FC, first_N, end_N = _frames_of(index, *index.places(np.arange(begin, end)), pose)
    for at in range(0, len(first_N), _CHUNK):
        here = slice(at, at + _CHUNK)
        yield _gather(frames_FC, first_N[here], end_N[here])


def _frames_of(
    index: SplitIndex, row_N: Ints, start_N: Ints, pose: Pose
) -> tuple[Floats, Ints, Ints]:
    """Read the sequences of windows.

    Returns:
        Their frames; where in them each window begins, and where its sequence ends.
    """
    wanted_S = np.zeros(len(index), np.bool_)
    wanted_S[row_N] = True
    frames_FC = read_poses(index, (pose,), wanted_S)[pose]
    end_S = np.cumsum(np.where(wanted_S, index.frames_S, 0))
    return frames_FC, end_S[row_N] - index.frames_S[row_N] + start_N, end_S[row_N]


def pose_frames(table: pa.Table, pose: Pose) -> Floats | None:
    """Return all frames of a table one after the other, (F, C); None where a row has none."""
    column: Any = table.column(pose)
    # Combining copies, even a single chunk.
    values = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if values.null_count:
        return None
    rows = values.flatten()
    flat: Floats = rows.flatten().to_numpy()
    return flat.reshape(-1, rows.type.list_size)


def _gather(frames_FC: Floats, first_B: Ints, end_B: Ints) -> Floats:
    frame_BT = first_B[:, None] + np.arange(WINDOW)
    # The one window of a short sequence goes on with its last frame.
    windows_BTC: Floats = frames_FC[np.minimum(frame_BT, end_B[:, None] - 1)]
    return windows_BTC
