"""How the lake names sequences and windows, and which windows a sequence has.

Whatever depends on the length of a window or on the bits of an id is here and nowhere else.

Shape letters: S sequences, N windows of all of them.
"""

import hashlib
from collections.abc import Iterable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from poise.catalog.splits import SPLITS, Split
from poise.catalog.tracks import Track

#: Frames of a window.
WINDOW = 8
#: A window id is ``sequence_id << 24 | start``: 39 + 24 bits, so never negative.
_START_BITS = 24
_HASH_BITS = 38
#: Frames of the longest sequence.
LONGEST = (1 << _START_BITS) - 1

Ints = NDArray[np.int64]
Whole = TypeVar("Whole", int, Ints, Tensor)


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


def encode(sequence_id: Whole, start: Whole) -> Whole:
    """Return the ids of windows, from the ids of their sequences and their first frames."""
    return sequence_id << _START_BITS | start


def decode(window_id: Whole) -> tuple[Whole, Whole]:
    """Return the sequence id and the first frame of windows; the inverse of `encode`."""
    return window_id >> _START_BITS, window_id & LONGEST


def window_count(frames: Whole) -> Whole:
    """Return how many windows sequences of so many frames have: one from every possible frame.

    A sequence shorter than a window has one window, padded with its last frame.
    """
    return (frames - WINDOW) * (frames > WINDOW) + 1


def window_index(frames_S: Ints) -> tuple[Ints, Ints]:
    """Return the row of its sequence and the first frame of every window, in order: both (N,)."""
    count_S = window_count(frames_S)
    return np.repeat(np.arange(len(frames_S)), count_S), ranges(np.zeros_like(count_S), count_S)


def ranges(first_S: Ints, count_S: Ints) -> Ints:
    """Concatenate the ranges first .. first + count - 1, (N,)."""
    offset_N = np.repeat(first_S - (np.cumsum(count_S) - count_S), count_S)
    return offset_N + np.arange(len(offset_N))


def _hash(track: Track, split: Split, name: str) -> int:
    digest = hashlib.blake2b("\0".join([str(track), split, name]).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> (64 - _HASH_BITS)
