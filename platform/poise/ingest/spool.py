"""Sequences put aside in any order and taken back by name, in bounded memory."""

import tempfile
from dataclasses import replace
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from poise.catalog.splits import Split
from poise.catalog.tracks import Track
from poise.lake.ids import sequence_ids
from poise.lake.split_index import SplitIndex
from poise.readers.sequence import PoseSequence

#: Poses kept in memory; what comes after them goes to a temporary file.
MEMORY_BYTES = 64 * 2**20


class Spool:
    """Sequences with their poses on disk (a context manager)."""

    def __init__(self) -> None:
        """Start empty; a temporary file is made when more is added than memory should hold."""
        self._bare: dict[str, PoseSequence] = {}  # poses without frames
        self._places: dict[str, tuple[int, int]] = {}  # frames, and where they begin in the file
        self._end = 0
        self._file = tempfile.SpooledTemporaryFile(MEMORY_BYTES)  # noqa: SIM115

    def __contains__(self, name: str) -> bool:
        return name in self._bare

    def add(self, sequence: PoseSequence) -> None:
        """Put a sequence aside, whose name must be a new one."""
        arrays = [sequence.detected_FC, sequence.truth_FC]
        self._places[sequence.name] = len(sequence.detected_FC), self._end
        self._file.seek(self._end)
        for array in arrays:
            if array is not None:
                self._end += self._file.write(np.ascontiguousarray(array, np.float32).data)
        bare = [None if array is None else array[:0].copy() for array in arrays]
        assert bare[0] is not None  # noqa: S101
        self._bare[sequence.name] = replace(sequence, detected_FC=bare[0], truth_FC=bare[1])

    def take(self, name: str) -> PoseSequence:
        """Return a sequence with its poses."""
        bare, (frames, place) = self._bare[name], self._places[name]
        shape = (frames, bare.detected_FC.shape[1])
        self._file.seek(place)
        detected_FC = self._read(shape)
        truth_FC = None if bare.truth_FC is None else self._read(shape)
        return replace(bare, detected_FC=detected_FC, truth_FC=truth_FC)

    def size(self, name: str) -> int:
        """Return the bytes of a sequence's poses."""
        bare, (frames, _) = self._bare[name], self._places[name]
        width: int = bare.detected_FC.shape[1]
        return 4 * frames * width * (1 if bare.truth_FC is None else 2)

    def index(self, track: Track, split: Split) -> SplitIndex:
        """List the sequences as the lake does: in the order of their names, with their ids."""
        bare = [self._bare[name] for name in sorted(self._bare)]
        ids = sequence_ids(track, split, self._bare)
        return SplitIndex(
            track=track,
            split=split,
            width=track.info.joints * track.info.dims,
            truth=bool(bare) and all(one.truth_FC is not None for one in bare),
            ids_S=np.array([ids[one.name] for one in bare], np.int64),
            frames_S=np.array([self._places[one.name][0] for one in bare], np.int64),
            names=[one.name for one in bare],
            subjects=[one.subject for one in bare],
            cameras=[one.camera for one in bare],
            actions=[one.action for one in bare],
            takes=[one.take for one in bare],
        )

    def _read(self, shape: tuple[int, int]) -> NDArray[np.float32]:
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
