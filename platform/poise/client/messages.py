"""Frames of a stream as bytes, which service and client exchange; docs/serving.md has the layout.

Shape letters: F frames, J joints, D dimensions.
"""

import struct
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats32 = NDArray[np.float32]
Floats64 = NDArray[np.float64]

#: Version of the layout, which parts follow, how many frames, number of the first.
_HEAD: Final = struct.Struct("<BBHI")
_VERSION: Final = 1
_TIMES, _CONFIDENCE, _ERROR, _QUALITY = 1, 2, 4, 8


class LayoutError(ValueError):
    """Bytes that are no frames; the text says which field of them is wrong, and how."""


@dataclass(frozen=True)
class Frames:
    """Some frames on their way.

    Attributes:
        poses_FJD: NaN where a joint was not seen, or nobody was.
        first: number of the first of them, from 0.
        times_F: seconds.
        confidence_FJ: of the estimator; 0 is what it did not see.
        error_FJ: how far off each refined joint is expected to be.
        quality_F: of the frames, 0 to 1.
    """

    poses_FJD: Floats32
    first: int = 0
    times_F: Floats64 | None = None
    confidence_FJ: Floats32 | None = None
    error_FJ: Floats32 | None = None
    quality_F: Floats32 | None = None

    def __len__(self) -> int:
        """How many frames there are."""
        return len(self.poses_FJD)


def encode(frames: Frames) -> bytes:
    """Lay frames out, little-endian."""
    parts = (
        (_TIMES, frames.times_F, "<f8"),
        (0, frames.poses_FJD, "<f4"),
        (_CONFIDENCE, frames.confidence_FJ, "<f4"),
        (_ERROR, frames.error_FJ, "<f4"),
        (_QUALITY, frames.quality_F, "<f4"),
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
    known = _TIMES | _CONFIDENCE | _ERROR | _QUALITY
    if flags & ~known:
        raise LayoutError(f"flags: {flags:#04x}; bits {known:#04x} mean something")
    sizes = {_TIMES: 8, _CONFIDENCE: 4 * joints, _ERROR: 4 * joints, _QUALITY: 4}
    frame = 4 * joints * dims + sum(size for flag, size in sizes.items() if flags & flag)
    wanted = _HEAD.size + count * frame
    if len(data) != wanted:
        raise LayoutError(
            f"frames: {count} of {joints} joints x {dims} with flags {flags:#04x} are "
            f"{wanted} bytes, not {len(data)}"
        )
    at = _HEAD.size

    def take(flag: int, kind: str, *shape: int) -> NDArray[np.floating] | None:
        nonlocal at
        if flag and not flags & flag:
            return None
        values = np.frombuffer(data, kind, int(np.prod(shape)), at).reshape(shape)
        at += values.nbytes
        return values.astype(values.dtype.newbyteorder("="))

    times_F = take(_TIMES, "<f8", count)
    poses_FJD = take(0, "<f4", count, joints, dims)
    confidence_FJ, error_FJ = (take(f, "<f4", count, joints) for f in (_CONFIDENCE, _ERROR))
    quality_F = take(_QUALITY, "<f4", count)
    return Frames(poses_FJD, first, times_F, confidence_FJ, error_FJ, quality_F)  # type: ignore[arg-type]
