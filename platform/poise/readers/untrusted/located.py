"""Arrays that stay where they lie in a file, to be read later and by another process."""

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

#: Smaller arrays are read at once.
SMALLEST: Final = 1024
_BLOCK: Final = 2**20


class NotLocatedError(Exception):
    """What an entry is made of cannot be read apart from the rest of its file."""


@dataclass(frozen=True)
class Place:
    """Bytes in a file."""

    file: str
    at: int
    size: int

    def array(self, dtype: np.dtype[Any], shape: tuple[int, ...], order: str) -> "Located":
        """Return the array of numbers that these bytes are."""
        if dtype.kind not in "fiub" or order not in "CF":
            raise NotLocatedError
        if math.prod(shape) * dtype.itemsize != self.size:
            raise ValueError(f"an array of shape {shape} and {dtype} in {self.size:,} bytes")
        return Located(self.file, self.at, dtype.str, shape, order == "F")


@dataclass(frozen=True)
class Located:
    """An array of numbers, by where it is."""

    file: str
    at: int
    dtype: str
    shape: tuple[int, ...]
    fortran: bool

    @property
    def itemsize(self) -> int:
        """Bytes of a number."""
        return np.dtype(self.dtype).itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all of them."""
        return math.prod(self.shape) * self.itemsize

    def of(self, content: bytes | memoryview) -> NDArray[Any]:
        """Return the array, given its bytes; a copy, so that it can be written to."""
        if len(content) != self.nbytes:
            raise EOFError(f"{self.file} ends early")
        order: Literal["F", "C"] = "F" if self.fortran else "C"
        return np.frombuffer(content, self.dtype).copy().reshape(self.shape, order=order)


class Unpacked:
    """Where arrays of compressed files go, one after the other."""

    def __init__(self, file: str, sink: IO[bytes]) -> None:
        """Write to ``sink``; ``file`` is what it is called by those who read it."""
        self.file = file
        self.end = 0
        self._sink = sink

    def keep(self, stream: "io.BufferedReader[Any]", size: int) -> Place:
        """Move bytes there."""
        at = self.end
        for block in _blocks(stream, size):
            self._sink.write(block)
        self.end += size
        return Place(self.file, at, size)


class AsStored:
    """Where arrays of files that are not compressed lie anyway."""

    def __init__(self, file: str, base: int) -> None:
        """Streams begin at byte ``base`` of ``file``."""
        self._file, self._base = file, base

    def keep(self, stream: "io.BufferedReader[Any]", size: int) -> Place:
        """Go past bytes; they are read all the same, for the sake of their checksum."""
        at = self._base + stream.tell()
        for _ in _blocks(stream, size):
            pass
        return Place(self._file, at, size)


def _blocks(stream: "io.BufferedReader[Any]", size: int) -> Iterator[bytes]:
    while size:
        block = stream.read(min(size, _BLOCK))
        if not block:
            raise EOFError("it ends early")
        size -= len(block)
        yield block
