"""Frames of a stream as bytes, which service and client exchange; docs/serving.md has the layout.

Shape letters: F frames, N poses (one a frame, or one for each person in a frame), J joints, D
dimensions.
"""

import struct
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats32 = NDArray[np.float32]
Floats64 = NDArray[np.float64]
Integers = NDArray[np.integer]

#: Version of the layout, which parts follow, how many frames, number of the first.
_HEAD: Final = struct.Struct("<BBHI")
_VERSION: Final = 1
_TIMES, _CONFIDENCE, _ERROR, _QUALITY, _PEOPLE, _IDS = 1, 2, 4, 8, 16, 32


class LayoutError(ValueError):
    """Bytes that are no frames; the text says which field of them is wrong, and how."""


@dataclass(frozen=True)
class Frames:
    """Some frames on their way, of one person or of many.

    Attributes:
        poses_NJD: NaN where a joint was not seen, or nobody was.
        first: number of the first frame, from 0.
        times_F: seconds.
        confidence_NJ: of the estimator; 0 is what it did not see.
        error_NJ: how far off each refined joint is expected to be.
        quality_N: of the poses, 0 to 1.
        people_F: poses that each frame has; None where each has one.
        ids_N: who each pose is.
    """

    poses_NJD: Floats32
    first: int = 0
    times_F: Floats64 | None = None
    confidence_NJ: Floats32 | None = None
    error_NJ: Floats32 | None = None
    quality_N: Floats32 | None = None
    people_F: Integers | None = None
    ids_N: Integers | None = None

    def __len__(self) -> int:
        """How many frames there are."""
        return len(self.poses_NJD if self.people_F is None else self.people_F)


def encode(frames: Frames) -> bytes:
    """Lay frames out, little-endian."""
    parts = (
        (_TIMES, frames.times_F, "<f8"),
        (_PEOPLE, frames.people_F, "<u2"),
        (_IDS, frames.ids_N, "<i4"),
        (0, frames.poses_NJD, "<f4"),
        (_CONFIDENCE, frames.confidence_NJ, "<f4"),
        (_ERROR, frames.error_NJ, "<f4"),
        (_QUALITY, frames.quality_N, "<f4"),
    )
    flags = sum(flag for flag, values, _ in parts if values is not None)
    head = _HEAD.pack(_VERSION, flags, len(frames), frames.first)
    return head + b"".join(
        values.astype(kind).tobytes() for _, values, kind in parts if values is not None
    )


def decode(data: bytes, joints: int, dims: int) -> Frames:
    """Read frames of so many joints.

    Raises:
        LayoutError: they are none.
    """
    if len(data) < _HEAD.size:
        raise LayoutError(f"header: {len(data)} bytes; it has {_HEAD.size}")
    version, flags, count, first = _HEAD.unpack_from(data)
    if version != _VERSION:
        raise LayoutError(f"version: {version}; this is version {_VERSION}")
    known = _TIMES | _CONFIDENCE | _ERROR | _QUALITY | _PEOPLE | _IDS
    if flags & ~known:
        raise LayoutError(f"flags: {flags:#04x}; bits {known:#04x} mean something")
    times = 8 * count if flags & _TIMES else 0
    poses, what = count, f"{count} frames"
    if flags & _PEOPLE:
        if len(data) < _HEAD.size + times + 2 * count:
            raise LayoutError(f"frames: {count} of many people do not fit in {len(data)} bytes")
        poses = int(np.frombuffer(data, "<u2", count, _HEAD.size + times).sum(dtype=np.int64))
        what = f"{count} frames, {poses} poses"
    sizes = {_IDS: 4, _CONFIDENCE: 4 * joints, _ERROR: 4 * joints, _QUALITY: 4}
    each = 4 * joints * dims + sum(size for flag, size in sizes.items() if flags & flag)
    wanted = _HEAD.size + times + (2 * count if flags & _PEOPLE else 0) + poses * each
    if len(data) != wanted:
        raise LayoutError(
            f"frames: {what} of {joints} joints x {dims} with flags {flags:#04x} are "
            f"{wanted} bytes, not {len(data)}"
        )
    at = _HEAD.size

    def take(flag: int, kind: str, *shape: int) -> NDArray[Any] | None:
        nonlocal at
        if flag and not flags & flag:
            return None
        values = np.frombuffer(data, kind, int(np.prod(shape)), at).reshape(shape)
        at += values.nbytes
        return values.astype(values.dtype.newbyteorder("="))

    times_F = take(_TIMES, "<f8", count)
    people_F, ids_N = take(_PEOPLE, "<u2", count), take(_IDS, "<i4", poses)
    poses_NJD = take(0, "<f4", poses, joints, dims)
    assert poses_NJD is not None  # noqa: S101  (no flag says whether there are any)
    confidence_NJ, error_NJ = (take(f, "<f4", poses, joints) for f in (_CONFIDENCE, _ERROR))
    quality_N = take(_QUALITY, "<f4", poses)
    return Frames(poses_NJD, first, times_F, confidence_NJ, error_NJ, quality_N, people_F, ids_N)
