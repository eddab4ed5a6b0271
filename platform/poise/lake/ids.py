"""How the lake names sequences and windows, and where the windows of a sequence begin.

Shape letters: S sequences, N windows of all of them, B windows at a time, T frames of a window,
F frames of all sequences, C values of a frame.
"""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from poise.catalog.tracks import Track

Split = Literal["train", "test"]
SPLITS: tuple[Split, ...] = ("train", "test")

#: Frames of a window.
WINDOW = 8
#: A window id is ``sequence_id << START_BITS | start``: 39 + 24 bits, so never negative.
START_BITS = 24
_HASH_BITS = 38
#: Windows gathered at once: 8192 x 8 frames x 51 values are 13 MB.
_CHUNK = 8192


def sequence_ids(track: Track, split: Split, names: Iterable[str]) -> dict[str, int]:
    """Give every sequence of a split its id: 39 bits, the same in any order of arrival.

    38 bits are a hash of track, split and name, the last is the split, so the two splits never
    meet. Of two names with one hash the later in name order takes the next free value.
    """
    ids: dict[str, int] = {}
    taken: set[int] = set()
    for name in sorted(set(names)):
        value = _hash(track, split, name)
        while value in taken:
            value = (value + 1) % (1 << _HASH_BITS)
        taken.add(value)
        ids[name] = value << 1 | SPLITS.index(split)
    return ids


def sequence_id(track: Track, split: Split, name: str) -> int:
    """Return the id of one sequence, as it is where no other name shares its hash."""
    return sequence_ids(track, split, [name])[name]


def window_ids(sequence_N: NDArray[np.int64], start_N: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return the ids of windows from their sequence's id and first frame, (N,)."""
    return sequence_N << START_BITS | start_N


def windows_in(frames: int) -> int:
    """Return how many windows a sequence has: stride 1, and one where it is shorter."""
    return max(frames - WINDOW, 0) + 1


def window_index(frames_S: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return row and first frame of every window of S sequences, stride 1: both (N,).

    A sequence shorter than a window has one, padded at its end when it is loaded.
    """
    counts_S = np.maximum(frames_S - WINDOW, 0) + 1
    first_S = np.cumsum(counts_S) - counts_S
    row_N = np.repeat(np.arange(len(frames_S)), counts_S)
    return row_N, (np.arange(len(row_N)) - first_S[row_N]).astype(np.int32)


def gather_windows(
    frames_FC: NDArray[np.float32], frames_S: NDArray[np.int64]
) -> Iterator[NDArray[np.float32]]:
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


def _hash(track: Track, split: Split, name: str) -> int:
    digest = hashlib.blake2b("\0".join([str(track), split, name]).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> (64 - _HASH_BITS)
