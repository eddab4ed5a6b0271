"""Sequences put aside in any order and taken back by number, in bounded memory."""

import tempfile
from dataclasses import replace
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from poise.readers.sequence import PoseSequence

#: Poses kept in memory; what comes after them goes to a temporary file.
MEMORY_BYTES = 64 * 2**20


class Spool:
    """Poses on disk, all else in ``sequences``, whose poses have no frames (a context manager)."""

    def __init__(self) -> None:
        """Start empty; the file is made in the folder for temporary files when it is needed."""
        self.sequences: list[PoseSequence] = []
        self.frames: list[int] = []
        self._places: list[int] = []
        self._end = 0
        self._file = tempfile.SpooledTemporaryFile(MEMORY_BYTES)  # noqa: SIM115

    def add(self, sequence: PoseSequence) -> None:
        """Put a sequence aside."""
        arrays = [sequence.detected_FC, sequence.truth_FC]
        self._places.append(self._end)
        self._file.seek(self._end)
        for array in arrays:
            if array is not None:
                self._end += self._file.write(np.ascontiguousarray(array, np.float32).data)
        self.frames.append(len(sequence.detected_FC))
        bare = [None if array is None else array[:0].copy() for array in arrays]
        assert bare[0] is not None  # noqa: S101
        self.sequences.append(replace(sequence, detected_FC=bare[0], truth_FC=bare[1]))

    def take(self, number: int) -> PoseSequence:
        """Return a sequence with its poses."""
        bare = self.sequences[number]
        self._file.seek(self._places[number])
        detected_FC = self._read(number)
        truth_FC = None if bare.truth_FC is None else self._read(number)
        return replace(bare, detected_FC=detected_FC, truth_FC=truth_FC)

    def _read(self, number: int) -> NDArray[np.float32]:
        shape = (self.frames[number], self.sequences[number].detected_FC.shape[1])
        content = self._file.read(4 * shape[0] * shape[1])
        return np.frombuffer(content, np.float32).reshape(shape)

    def __enter__(self) -> Self:
        """Start with nothing."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Drop what was put aside."""
        self._file.close()
