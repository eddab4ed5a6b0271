"""Which sequences a split has, whose they are, and which windows they make; no poses.

Shape letters: S sequences, N windows of all of them, B windows at a time.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from poise.catalog.splits import Split
from poise.catalog.tracks import Track
from poise.lake.ids import Ints, decode, encode, window_count, window_index
from poise.lake.manifest import Exclude, Manifest, part_paths
from poise.lake.parts import read_part, row_group_sizes
from poise.lake.schemas import sequence_schema
from poise.runtime.errors import LakeError
from poise.runtime.storage import Location

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class RowGroup:
    """A row group of a sequences part: the poses of sequences ``rows`` of the split."""

    path: str
    number: int
    rows: slice


@dataclass(frozen=True, eq=False)
class SplitIndex:
    """Sequences of a split, S of them in lake order, and the windows they make.

    Windows are in lake order too: those of the first sequence, then those of the second, and so on.

    Attributes:
        width: values of a frame, C.
        truth: whether every sequence has ground truth.
        frames_S: frames of each.
        names: of the sequences; the lists that follow are of one value a sequence too.
        cameras: None where there is one camera.
        actions: None where the data set does not tell.
        takes: what the sequences of one moment share; None where there is one camera.
        groups: where the poses are in the lake; none where they are not read from there.
    """

    track: Track
    split: Split
    width: int
    truth: bool
    ids_S: Ints
    frames_S: Ints
    names: list[str]
    subjects: list[str]
    cameras: list[str | None]
    actions: list[str | None]
    takes: list[str | None]
    groups: tuple[RowGroup, ...] = ()

    @classmethod
    def read(cls, lake: Location, manifest: Manifest, split: Split) -> Self:
        """Read it from the lake; raise `LakeError` where the split has no sequences."""
        paths = part_paths(lake, manifest, "sequences", split)
        tables = [read_part(path, INDEX_COLUMNS) for path in paths]
        if not sum(table.num_rows for table in tables):
            raise LakeError(f"{manifest.track}: the lake has no {split} sequences")
        return cls.of_rows(
            manifest.track_name,
            split,
            tables,
            width=manifest.joints * manifest.dims,
            truth=manifest.splits[split].truth,
            groups=tuple(_row_groups([(path, row_group_sizes(path)) for path in paths])),
        )

    @classmethod
    def of_rows(
        cls,
        track: Track,
        split: Split,
        tables: Sequence[pa.Table],
        *,
        width: int,
        truth: bool,
        groups: tuple[RowGroup, ...] = (),
    ) -> Self:
        """Make an index from tables of sequences; it reads only their `INDEX_COLUMNS`."""
        empty = sequence_schema(width).empty_table().select(INDEX_COLUMNS)
        rows = pa.concat_tables([empty, *(table.select(INDEX_COLUMNS) for table in tables)])
        texts: dict[str, list[Any]] = {name: rows.column(name).to_pylist() for name in _TEXTS}
        return cls(
            track=track,
            split=split,
            width=width,
            truth=truth,
            ids_S=rows.column("sequence_id").to_numpy(),
            frames_S=rows.column("frames").to_numpy().astype(np.int64),
            names=texts["sequence"],
            subjects=texts["subject"],
            cameras=texts["camera"],
            actions=texts["action"],
            takes=texts["take"],
            groups=groups,
        )

    def __len__(self) -> int:
        """Number of sequences."""
        return len(self.ids_S)

    @property
    def windows_S(self) -> Ints:
        """How many windows each sequence has."""
        return window_count(self.frames_S)

    @property
    def windows(self) -> int:
        """Windows of all sequences, N."""
        return int(self.windows_S.sum())

    def every_window(self) -> tuple[Ints, Ints]:
        """Return the sequence (its row) and the id of every window, both (N,)."""
        row_N, start_N = window_index(self.frames_S)
        return row_N, encode(self.ids_S[row_N], start_N)

    def places(self, number_B: Ints) -> tuple[Ints, Ints]:
        """Return the sequence (its row) and the first frame of windows by number, in lake order."""
        end_S = np.cumsum(self.windows_S)
        row_B = np.searchsorted(end_S, number_B, side="right")
        return row_B, number_B - (end_S - self.windows_S)[row_B]

    def find(self, window_ids: Ints) -> tuple[Ints, Bools]:
        """Return the row of the sequence each window is of, and whether there is such a window.

        Args:
            window_ids: of any shape; where there is no such window the row means nothing.
        """
        if not len(self):
            return np.zeros(window_ids.shape, np.int64), np.zeros(window_ids.shape, np.bool_)
        ids_S, row_S = self._sorted
        sequence, start = decode(window_ids)
        row = row_S[np.searchsorted(ids_S, sequence).clip(max=len(self) - 1)]
        return row, (self.ids_S[row] == sequence) & (start < self.windows_S[row])

    def rows_of(self, window_ids: Ints) -> Ints:
        """Return the row of the sequence each window is of, in the shape of the ids.

        Raises:
            LakeError: a window is not of this split.
        """
        row, there = self.find(window_ids)
        if not there.all():
            raise LakeError(
                f"{self.track}: window {window_ids[~there][0]} is not in the lake's {self.split} "
                f"split; run poise ingest --track {self.track} --force"
            )
        return row

    def kept_apart(self, rule: Exclude) -> list[str]:
        """Return what the windows of each sequence must not share with their neighbours.

        That is its subject, or its take: its own name where the data set names no take.
        """
        if rule == "subject":
            return self.subjects
        return [take or name for take, name in zip(self.takes, self.names, strict=True)]

    def of_subjects(self, subjects: Collection[str] | None) -> Bools:
        """Say which sequences are of the subjects (all of them where None), (S,)."""
        return np.array([subjects is None or one in subjects for one in self.subjects], np.bool_)

    def take(self, rows: Sequence[int]) -> Self:
        """Return the index of some sequences, by row; it does not tell where their poses are."""
        row_S = np.asarray(rows, np.int64)
        return type(self)(
            track=self.track,
            split=self.split,
            width=self.width,
            truth=self.truth,
            ids_S=self.ids_S[row_S],
            frames_S=self.frames_S[row_S],
            names=[self.names[row] for row in rows],
            subjects=[self.subjects[row] for row in rows],
            cameras=[self.cameras[row] for row in rows],
            actions=[self.actions[row] for row in rows],
            takes=[self.takes[row] for row in rows],
        )

    @cached_property
    def _sorted(self) -> tuple[Ints, Ints]:
        """Ids in order, and their rows."""
        row_S = np.argsort(self.ids_S, kind="stable")
        return self.ids_S[row_S], row_S


_TEXTS = ("sequence", "subject", "camera", "action", "take")
#: Columns of ``sequences`` that an index is made of.
INDEX_COLUMNS = ["sequence_id", "frames", *_TEXTS]


def _row_groups(parts: Iterable[tuple[str, list[int]]]) -> Iterator[RowGroup]:
    at = 0
    for path, sizes in parts:
        for number, count in enumerate(sizes):
            yield RowGroup(path, number, slice(at, at + count))
            at += count
