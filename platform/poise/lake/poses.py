"""The poses of windows: of all that some sequences have, or of some of a lake by their ids.

Shape letters: S sequences, B windows at a time, T frames of a window, F frames of all sequences,
C values of a frame.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poise.lake.ids import WINDOW, Ints, decode, window_index
from poise.lake.split_index import Listing, Pose
from poise.runtime.errors import LakeError

#: Windows gathered at once: 8192 x 8 frames x 51 values are 13 MB.
_CHUNK = 8192


def gather_windows(frames_FC: NDArray[np.float32], frames_S: Ints) -> Iterator[NDArray[np.float32]]:
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
        frame_BT = first_B[:, None] + np.arange(WINDOW)
        yield frames_FC[np.minimum(frame_BT, end_S[row_B, None] - 1)]


def poses_of(listing: Listing, ids_B: Ints, pose: Pose) -> NDArray[np.float32]:
    """Read windows (B, T, C) by window id, in the order asked for.

    Args:
        listing: the sequences of the split they are of.
        ids_B: window ids, in any order, also several times.
        pose: which of the poses.

    Raises:
        LakeError: a window is not of this split.
    """
    row_B, start_B = sequences_of(listing, ids_B), decode(ids_B)[1]
    wanted_S = np.zeros(len(listing.ids_S), np.bool_)
    wanted_S[row_B] = True
    frames_FC = listing.frames(wanted_S, (pose,))[pose].numpy()
    end_S = np.cumsum(np.where(wanted_S, listing.frames_S, 0))
    first_B = end_S[row_B] - listing.frames_S[row_B] + start_B
    frame_BT = first_B[:, None] + np.arange(WINDOW)
    windows_BTC: NDArray[np.float32] = frames_FC[np.minimum(frame_BT, end_S[row_B, None] - 1)]
    return windows_BTC


def sequences_of(listing: Listing, ids_B: Ints) -> NDArray[np.intp]:
    """Return the row of the sequence that each window is of, (B,).

    Raises:
        LakeError: a window is not of this split.
    """
    order_S: Any = np.argsort(listing.ids_S)
    sequence_B, _ = decode(ids_B)
    place_B = np.searchsorted(listing.ids_S[order_S], sequence_B).clip(max=len(order_S) - 1)
    row_B: NDArray[np.intp] = order_S[place_B]
    strange_B = listing.ids_S[row_B] != sequence_B
    if strange_B.any():
        raise LakeError(
            f"{listing.track}: window {ids_B[strange_B.argmax()]} is not in the lake's "
            f"{listing.split} split; run jobs/ingest.py --track {listing.track} --force"
        )
    return row_B
