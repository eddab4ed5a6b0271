"""Sequences put aside in the order in which they are read, and taken back in any other."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import IO, Protocol

import numpy as np
from numpy.typing import NDArray

from poise.readers.sequence import PoseSequence
from poise.runtime import storage

#: Files of poses that are open at once.
_OPEN = 32


@dataclass(frozen=True)
class Kept:
    """A sequence that was put aside.

    Attributes:
        bare: all of it but its poses, whose arrays have no frames.
        block: the file of its poses.
        at: where they begin there: the detected ones, then truth.
    """

    bare: PoseSequence
    frames: int
    block: str
    at: int

    @property
    def size(self) -> int:
        """Bytes of its poses."""
        width: int = self.bare.detected_FC.shape[1]
        return 4 * self.frames * width * (1 if self.bare.truth_FC is None else 2)

    def filled(self, content: bytes | memoryview) -> PoseSequence:
        """Return the sequence, given the bytes of its poses."""
        shape = (-1, self.frames, self.bare.detected_FC.shape[1])
        poses: NDArray[np.float32] = np.frombuffer(content, np.float32).reshape(shape)
        truth_FC = None if self.bare.truth_FC is None else poses[1]
        return replace(self.bare, detected_FC=poses[0], truth_FC=truth_FC)


class Spool:
    """Appends poses to a file."""

    def __init__(self, block: str, sink: IO[bytes]) -> None:
        """Write to ``sink``; ``block`` is what it is called by those who read it."""
        self._block, self._sink = block, sink
        self._end = 0

    def add(self, sequence: PoseSequence) -> Kept:
        """Put a sequence aside."""
        arrays = [sequence.detected_FC, sequence.truth_FC]
        at = self._end
        for array in arrays:
            if array is not None:
                self._end += self._sink.write(np.ascontiguousarray(array, np.float32).data)
        bare = [None if array is None else array[:0].copy() for array in arrays]
        assert bare[0] is not None  # noqa: S101
        # What was filled is told apart from the sequence.
        kept = replace(
            sequence, detected_FC=bare[0], truth_FC=bare[1], unseen_FJ=None, untrue_FJ=None
        )
        return Kept(kept, len(sequence.detected_FC), self._block, at)


class Block(Protocol):
    """A file of poses that is open."""

    def seek(self, position: int, /) -> int:
        """Go somewhere in it."""
        ...

    def read(self, size: int, /) -> bytes:
        """Read from there."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Blocks:
    """Takes sequences back from the files they were put into."""

    def __init__(self, opened: Callable[[str], Block] | None = None) -> None:
        """Open files by ``opened``, as those of a lake where it is not given."""
        self._opened = opened or _of_storage
        self._files: dict[str, Block] = {}

    def take(self, kept: Sequence[Kept]) -> list[PoseSequence]:
        """Return sequences with their poses, all of them in memory."""
        return [sequence for run in _runs(kept) for sequence in self._read(run)]

    def close(self) -> None:
        """Close the files."""
        while self._files:
            self._files.popitem()[1].close()

    def _read(self, run: list[Kept]) -> Iterator[PoseSequence]:
        block = run[0].block
        if block not in self._files:
            if len(self._files) == _OPEN:
                self.close()
            self._files[block] = self._opened(block)
        file = self._files[block]
        file.seek(run[0].at)
        content = memoryview(file.read(sum(one.size for one in run)))
        at = 0
        for one in run:
            yield one.filled(content[at : at + one.size])
            at += one.size


def _runs(kept: Sequence[Kept]) -> Iterator[list[Kept]]:
    """Group what lies in one piece."""
    run: list[Kept] = []
    for one in kept:
        if run and (one.block, one.at) != (run[-1].block, run[-1].at + run[-1].size):
            yield run
            run = []
        run.append(one)
    if run:
        yield run


def _of_storage(block: str) -> Block:
    filesystem, inner = storage.resolve(block)
    return filesystem.open_input_file(inner)
