"""A split from raw files to the lake in one go, and what is told of one that was written."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from poise.catalog.splits import Split
from poise.catalog.tracks import Track
from poise.ingest import parts as in_parts
from poise.ingest.parts import deal, index_of
from poise.ingest.spool import Block, Blocks, Spool
from poise.ingest.take_in import TakenIn, take_in
from poise.lake.manifest import Filled, Quarantined, SplitSummary
from poise.lake.split_index import SplitIndex
from poise.readers import raw_split as raw
from poise.readers.plausible import Bodies
from poise.readers.sequence import Rejected
from poise.runtime.remote_path import place

#: Poses kept in memory; what comes after them goes to a temporary file.
MEMORY_BYTES = 64 * 2**20


@dataclass(frozen=True)
class SplitResult:
    """What was written of a split, left out, and odd; there are no windows yet."""

    split: Split
    summary: SplitSummary
    quarantined: list[Quarantined]
    filled: list[Filled]
    notes: list[str]


def write_split(data: Path | None, track: Track, lake: str, split: Split) -> SplitResult:
    """Read one split and write its parts; the work of one task, in bounded memory.

    Parts are in name order, whatever the order of the raw file, so the poses go through a `Spool`.

    Raises:
        DataError: a raw file cannot be used at all.
        OSError: what was read cannot be written.
    """
    with tempfile.SpooledTemporaryFile(MEMORY_BYTES) as file:
        found = take_in(raw.open_split(data, track, split), track, split, Spool("", file))
        index = index_of(track, split, found.kept)
        blocks = Blocks(lambda _: cast(Block, file))
        parts = [in_parts.write(part, track, lake, blocks) for part in deal(index, found.kept)]
    return result_of(data, found, index, parts)


def result_of(
    data: Path | None, found: TakenIn, index: SplitIndex, parts: Sequence[str]
) -> SplitResult:
    """Tell of a split of which everything was read and written."""
    split = index.split
    bodies = Bodies(index.track.info)
    for looks in found.looks:
        bodies.count(looks)
    summary = SplitSummary(
        read=len(index) + len(found.left_out),
        sequences=len(index),
        quarantined=len(found.left_out),
        frames=int(index.frames_S.sum()),
        windows=index.windows,
        truth=index.truth,
        subjects=sorted(set(index.subjects)),
        sequences_parts=list(parts),
        windows_parts=[],
    )
    quarantined = [_quarantined(split, item, data) for item in found.left_out]
    filled = sorted(found.filled, key=lambda one: one.sequence)
    return SplitResult(split, summary, quarantined, filled, sorted(found.notes) + bodies.notes())


def _quarantined(split: Split, item: Rejected, data: Path | None) -> Quarantined:
    file = place(item.file)
    inside = data is not None and file.is_relative_to(data)
    name = str(file.relative_to(data)) if inside and data is not None else item.file
    return Quarantined(split, name, item.sequence, item.key, item.reason)
