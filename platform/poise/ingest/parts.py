"""The sequences of a split dealt to parts, and parts written of what was put aside."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pyarrow as pa

from poise.catalog.splits import Split
from poise.catalog.tracks import Track
from poise.ingest.spool import Blocks, Kept
from poise.lake.ids import sequence_ids
from poise.lake.manifest import part_folder
from poise.lake.parts import GROUP_FRAMES, write_part
from poise.lake.schemas import sequence_schema, sequence_table
from poise.lake.split_index import SplitIndex
from poise.runtime.errors import DataError

Item = TypeVar("Item")

#: Poses of one part, detected and truth together, before packing.
PART_BYTES = 192 * 2**20


@dataclass(frozen=True)
class Part:
    """A part that is to be written: its sequences with their ids, in order."""

    split: Split
    number: int
    rows: list[tuple[int, Kept]]

    @property
    def frames(self) -> int:
        """Frames of all its sequences."""
        return sum(kept.frames for _, kept in self.rows)


def grouped(items: Iterable[Item], size: Callable[[Item], int], most: int) -> Iterator[list[Item]]:
    """Put items together, in order, up to a size; a larger one is by itself."""
    group: list[Item] = []
    total = 0
    for item in items:
        here = size(item)
        if group and total + here > most:
            yield group
            group, total = [], 0
        group.append(item)
        total += here
    if group:
        yield group


def index_of(track: Track, split: Split, kept: Sequence[Kept]) -> SplitIndex:
    """List sequences as the lake does: in the order of their names, with their ids.

    Raises:
        DataError: two have one name.
    """
    ordered = sorted(kept, key=lambda one: one.bare.name)
    bare = [one.bare for one in ordered]
    ids = sequence_ids(track, split, [one.name for one in bare])
    if len(ids) < len(bare):
        raise DataError(f"{track}, split {split}: the reader gave two sequences one name")
    return SplitIndex(
        track=track,
        split=split,
        width=track.info.joints * track.info.dims,
        truth=bool(bare) and all(one.truth_FC is not None for one in bare),
        ids_S=np.array([ids[one.name] for one in bare], np.int64),
        frames_S=np.array([one.frames for one in ordered], np.int64),
        names=[one.name for one in bare],
        subjects=[one.subject for one in bare],
        cameras=[one.camera for one in bare],
        actions=[one.action for one in bare],
        takes=[one.take for one in bare],
    )


def deal(index: SplitIndex, kept: Sequence[Kept]) -> list[Part]:
    """Deal the sequences to parts of bounded size, in order."""
    by_name = {one.bare.name: one for one in kept}
    rows = zip(index.ids_S.tolist(), map(by_name.__getitem__, index.names), strict=True)
    parts = grouped(rows, lambda row: row[1].size, PART_BYTES)
    return [Part(index.split, number, rows) for number, rows in enumerate(parts)]


def write(part: Part, track: Track, lake: str, blocks: Blocks) -> str:
    """Write a part, in the memory of a row group; return its name.

    Raises:
        OSError: it cannot be written, or what was put aside cannot be read.
    """
    folder = part_folder(lake, track, "sequences", part.split)
    schema = sequence_schema(track.info.joints * track.info.dims)
    return write_part(folder, part.number, schema, _row_groups(part, blocks))


def _row_groups(part: Part, blocks: Blocks) -> Iterator[pa.Table]:
    """Yield the sequences of a part in tables of bounded size, in order."""
    for group in grouped(part.rows, lambda row: row[1].frames, GROUP_FRAMES):
        yield _table(group, blocks)


def _table(group: list[tuple[int, Kept]], blocks: Blocks) -> pa.Table:
    ids, kept = zip(*group, strict=True)
    return sequence_table(ids, blocks.take(kept))
