"""From raw files to sequences: one Ray Data task for each split reads, checks and writes them."""

import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray

from poise.catalog.splits import SPLITS, Split
from poise.catalog.tracks import Track
from poise.ingest.spool import Spool
from poise.lake.ids import LONGEST
from poise.lake.manifest import Filled, Quarantined, SplitSummary, part_folder
from poise.lake.parts import GROUP_FRAMES, write_part
from poise.lake.schemas import sequence_schema, sequence_table
from poise.lake.split_index import SplitIndex
from poise.readers import raw_split as raw
from poise.readers.missing import runs
from poise.readers.plausible import Bodies
from poise.readers.sequence import PoseSequence, Rejected
from poise.runtime.errors import DataError
from poise.runtime.places import cannot_write

log = logging.getLogger(__name__)

#: Poses of one part, detected and truth together, before packing.
PART_BYTES = 192 * 2**20


@dataclass(frozen=True)
class SplitResult:
    """What was written of a split, left out, and odd; there are no windows yet."""

    split: Split
    summary: SplitSummary
    quarantined: list[Quarantined]
    filled: list[Filled]
    notes: list[str]


def write_splits(
    data: Path | None, track: Track, lake: str, splits: Iterable[Split]
) -> list[SplitResult]:
    """Write the sequences of the splits into the lake, in name order.

    Raises:
        DataError: a raw file cannot be used at all, or what was read cannot be written.
    """
    rows = [{"split": split} for split in splits]
    options = {"data": None if data is None else str(data), "track": str(track), "lake": lake}
    tasks = ray.data.from_items(rows, override_num_blocks=len(rows))
    receipts = tasks.map(_write_split, fn_kwargs=options).take_all()
    for receipt in receipts:
        if receipt["error"]:
            raise DataError(receipt["error"])
    done = [_from_json(receipt["result"]) for receipt in receipts]
    return sorted(done, key=lambda result: SPLITS.index(result.split))


def _write_split(row: dict[str, Any], data: str | None, track: str, lake: str) -> dict[str, Any]:
    split: Split = row["split"]
    folder = None if data is None else Path(data)
    # Ray would wrap an error, and log a page about it: it travels as an answer instead.
    try:
        result = write_split(folder, Track.parse(track), lake, split)
    except DataError as error:
        return {"result": "", "error": str(error)}
    except OSError as error:
        problem = cannot_write(lake, error)
        return {"result": "", "error": f"{track}, split {split}: {problem}"}
    return {"result": json.dumps(asdict(result)), "error": ""}


def write_split(data: Path | None, track: Track, lake: str, split: Split) -> SplitResult:
    """Read one split and write its parts; the work of one task, in bounded memory.

    Parts are in name order, whatever the order of the raw file, so the poses go through a `Spool`.

    Raises:
        DataError: a raw file cannot be used at all.
        OSError: what was read cannot be written.
    """
    left_out: list[Rejected] = []
    filled: list[Filled] = []
    notes: list[str] = []
    width = track.info.joints * track.info.dims
    bodies = Bodies(track.info)
    with Spool() as kept:
        for item in raw.open_split(data, track, split):
            checked = _checked(item, track, width)
            if isinstance(checked, Rejected):
                left_out.append(checked)
                continue
            if checked.name in kept:
                raise DataError(f"{track}, split {split}: the reader gave two sequences one name")
            kept.add(checked)
            bodies.add(checked.detected_FC, checked.truth_FC)
            filled += _filled(split, checked)
            notes += [f"{checked.name}: {checked.note}"] if checked.note else []
        index = kept.index(track, split)
        folder = part_folder(lake, track, "sequences", split)
        parts = [
            write_part(folder, number, sequence_schema(width), _row_groups(kept, index, rows))
            for number, rows in enumerate(_parts(kept, index))
        ]
    summary = SplitSummary(
        read=len(index) + len(left_out),
        sequences=len(index),
        quarantined=len(left_out),
        frames=int(index.frames_S.sum()),
        windows=index.windows,
        truth=index.truth,
        subjects=sorted(set(index.subjects)),
        sequences_parts=parts,
        windows_parts=[],
    )
    quarantined = [_quarantined(split, item, data) for item in left_out]
    filled.sort(key=lambda one: one.sequence)
    return SplitResult(split, summary, quarantined, filled, sorted(notes) + bodies.notes())


def _filled(split: Split, sequence: PoseSequence) -> Iterator[Filled]:
    if sequence.unseen_FJ is not None:
        yield Filled(split, sequence.name, "detected", runs(sequence.unseen_FJ))
    if sequence.untrue_FJ is not None:
        yield Filled(split, sequence.name, "truth", runs(sequence.untrue_FJ))


def _checked(item: PoseSequence | Rejected, track: Track, expected: int) -> PoseSequence | Rejected:
    if isinstance(item, Rejected):
        return item
    frames, width = item.detected_FC.shape
    if width != expected:
        reason = f"{width} values a frame, expected {expected}"
    elif not 0 < frames <= LONGEST:
        reason = f"{frames} frames; a sequence has 1 to {LONGEST}: cut it"
    else:
        return item
    return Rejected(str(track), item.name, "detected", reason)


def _parts(kept: Spool, index: SplitIndex) -> Iterator[list[int]]:
    """Deal the sequences to parts of bounded size, in order: the rows of each."""
    part: list[int] = []
    size = 0
    for row, name in enumerate(index.names):
        if part and size + kept.size(name) > PART_BYTES:
            yield part
            part, size = [], 0
        part.append(row)
        size += kept.size(name)
    if part:
        yield part


def _row_groups(kept: Spool, index: SplitIndex, part: list[int]) -> Iterator[pa.Table]:
    """Yield the sequences of a part in tables of bounded size, in order."""
    group: list[int] = []
    frames = 0
    for row in part:
        here = int(index.frames_S[row])
        if group and frames + here > GROUP_FRAMES:
            yield _table(kept, index, group)
            group, frames = [], 0
        group.append(row)
        frames += here
    yield _table(kept, index, group)


def _table(kept: Spool, index: SplitIndex, rows: list[int]) -> pa.Table:
    return sequence_table(index.ids_S[rows].tolist(), [kept.take(index.names[i]) for i in rows])


def _quarantined(split: Split, item: Rejected, data: Path | None) -> Quarantined:
    file = Path(item.file)
    inside = data is not None and file.is_relative_to(data)
    name = str(file.relative_to(data)) if inside and data is not None else item.file
    return Quarantined(split, name, item.sequence, item.key, item.reason)


def _from_json(text: str) -> SplitResult:
    fields = json.loads(text)
    quarantined = [Quarantined(**entry) for entry in fields["quarantined"]]
    filled = [Filled(**entry) for entry in fields["filled"]]
    return SplitResult(
        fields["split"], SplitSummary(**fields["summary"]), quarantined, filled, fields["notes"]
    )
