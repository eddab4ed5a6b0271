"""Raw files to sequences: one Ray Data task a split reads, checks, names and writes them."""

import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray

from poise.catalog.tracks import Track
from poise.ingest.spool import Spool
from poise.lake.ids import LONGEST, SPLITS, Split, sequence_ids, window_count
from poise.lake.manifest import Quarantined
from poise.lake.parts import GROUP_FRAMES, write_groups
from poise.lake.schemas import part_folder, sequence_schema, sequence_table
from poise.readers import raw_split as raw
from poise.readers.sequence import PoseSequence, Rejected
from poise.runtime import storage
from poise.runtime.errors import DataError

log = logging.getLogger(__name__)

#: Poses of one part, detected and truth together, before packing.
PART_BYTES = 192 * 2**20


@dataclass(frozen=True)
class Intake:
    """What came of one split; ``read == sequences + len(quarantined)``."""

    split: Split
    read: int
    sequences: int
    frames: int
    windows: int
    truth: bool
    subjects: list[str]
    parts: list[str]
    quarantined: list[Quarantined]


def take_in(data: Path | None, track: Track, lake: str, splits: Iterable[Split]) -> list[Intake]:
    """Write the sequences of the splits into the lake, in name order.

    Raises:
        DataError: a raw file cannot be used at all, or what was read cannot be written.
    """
    rows = [{"split": split} for split in splits]
    options = {"data": None if data is None else str(data), "track": str(track), "lake": lake}
    tasks = ray.data.from_items(rows, override_num_blocks=len(rows))
    receipts = tasks.map(_take_split, fn_kwargs=options).take_all()
    for receipt in receipts:
        if receipt["error"]:
            raise DataError(receipt["error"])
    done = [_from_json(receipt["intake"]) for receipt in receipts]
    return sorted(done, key=lambda intake: SPLITS.index(intake.split))


def _take_split(row: dict[str, Any], data: str | None, track: str, lake: str) -> dict[str, Any]:
    split: Split = row["split"]
    folder = None if data is None else Path(data)
    # Ray would wrap an error, and log a page about it: it travels as an answer instead.
    try:
        intake = take_split(folder, Track.parse(track), lake, split)
    except DataError as error:
        return {"intake": "", "error": str(error)}
    except OSError as error:
        return {
            "intake": "",
            "error": f"{track}, split {split}: {storage.cannot_write(lake, error)}",
        }
    return {"intake": json.dumps(asdict(intake)), "error": ""}


def take_split(data: Path | None, track: Track, lake: str, split: Split) -> Intake:
    """Read one split and write its parts; the work of one task, in bounded memory.

    Parts are in name order, whatever the order of the raw file, so the poses go through a `Spool`.

    Raises:
        DataError: a raw file cannot be used at all.
        OSError: what was read cannot be written.
    """
    left_out: list[Rejected] = []
    width = track.info.joints * track.info.dims
    with Spool() as kept:
        for item in raw.open_split(data, track, split):
            checked = _checked(item, track, width)
            if isinstance(checked, Rejected):
                left_out.append(checked)
            else:
                kept.add(checked)
        names = [sequence.name for sequence in kept.sequences]
        ids = sequence_ids(track, split, names)
        if len(ids) != len(names):
            raise DataError(f"{track}, split {split}: the reader gave two sequences one name")
        parts = _write(kept, ids, part_folder(lake, track, "sequences", split))
    return Intake(
        split=split,
        read=len(names) + len(left_out),
        sequences=len(names),
        frames=sum(kept.frames),
        windows=sum(map(window_count, kept.frames)),
        truth=bool(names) and all(one.truth_FC is not None for one in kept.sequences),
        subjects=sorted({sequence.subject for sequence in kept.sequences}),
        parts=parts,
        quarantined=[_quarantined(split, item, data) for item in left_out],
    )


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


def _write(kept: Spool, ids: dict[str, int], folder: str) -> list[str]:
    if not kept.frames:
        return []
    channels = kept.sequences[0].detected_FC.shape[1]
    order = sorted(range(len(kept.frames)), key=lambda number: kept.sequences[number].name)
    return [
        write_groups(folder, index, sequence_schema(channels), _groups(kept, ids, part))
        for index, part in enumerate(_parts(kept, order))
    ]


def _parts(kept: Spool, order: list[int]) -> Iterator[list[int]]:
    part: list[int] = []
    size = 0
    for number in order:
        bare = kept.sequences[number]
        width = bare.detected_FC.shape[1] * (1 if bare.truth_FC is None else 2)
        mine = 4 * width * kept.frames[number]
        if part and size + mine > PART_BYTES:
            yield part
            part, size = [], 0
        part.append(number)
        size += mine
    if part:
        yield part


def _groups(kept: Spool, ids: dict[str, int], part: list[int]) -> Iterator[pa.Table]:
    group: list[int] = []
    frames = 0
    for number in part:
        if group and frames + kept.frames[number] > GROUP_FRAMES:
            yield _table(kept, ids, group)
            group, frames = [], 0
        group.append(number)
        frames += kept.frames[number]
    yield _table(kept, ids, group)


def _table(kept: Spool, ids: dict[str, int], group: list[int]) -> pa.Table:
    sequences = [kept.take(number) for number in group]
    return sequence_table([ids[sequence.name] for sequence in sequences], sequences)


def _quarantined(split: Split, item: Rejected, data: Path | None) -> Quarantined:
    file = Path(item.file)
    inside = data is not None and file.is_relative_to(data)
    name = str(file.relative_to(data)) if inside and data is not None else item.file
    return Quarantined(split, name, item.sequence, item.key, item.reason)


def _from_json(text: str) -> Intake:
    fields = json.loads(text)
    return Intake(**{**fields, "quarantined": [Quarantined(**q) for q in fields["quarantined"]]})
