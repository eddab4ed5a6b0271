"""Raw files to sequences: one Ray Data task a split reads, checks, names and writes them."""

import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ray

from poise import raw
from poise.errors import DataError
from poise.lake import part_folder, sequence_table
from poise.manifest import Quarantined
from poise.parts import write_part
from poise.rows import SPLITS, START_BITS, Split, sequence_ids, windows_in
from poise.sequences import PoseSequence, Rejected
from poise.tracks import Track

log = logging.getLogger(__name__)

#: Poses of one part, detected and truth together, before packing.
PART_BYTES = 64 * 2**20


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
        DataError: a raw file cannot be used at all.
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
    return {"intake": json.dumps(asdict(intake)), "error": ""}


def take_split(data: Path | None, track: Track, lake: str, split: Split) -> Intake:
    """Read one split and write its parts; the work of one task.

    Raises:
        DataError: a raw file cannot be used at all.
    """
    kept: list[PoseSequence] = []
    left_out: list[Rejected] = []
    for item in raw.open_split(data, track, split):
        checked = _checked(item, track)
        if isinstance(checked, Rejected):
            left_out.append(checked)
        else:
            kept.append(checked)
    kept.sort(key=lambda sequence: sequence.name)
    ids = sequence_ids(track, split, [sequence.name for sequence in kept])
    if len(ids) != len(kept):
        raise DataError(f"{track}, split {split}: the reader gave two sequences one name")
    to = part_folder(lake, track, "sequences", split)
    parts = [
        write_part(to, index, sequence_table([ids[sequence.name] for sequence in block], block))
        for index, block in enumerate(_blocks(kept))
    ]
    return Intake(
        split=split,
        read=len(kept) + len(left_out),
        sequences=len(kept),
        frames=sum(len(sequence.detected_FC) for sequence in kept),
        windows=sum(windows_in(len(sequence.detected_FC)) for sequence in kept),
        truth=bool(kept) and all(sequence.truth_FC is not None for sequence in kept),
        subjects=sorted({sequence.subject for sequence in kept}),
        parts=parts,
        quarantined=[_quarantined(split, item, data) for item in left_out],
    )


def _checked(item: PoseSequence | Rejected, track: Track) -> PoseSequence | Rejected:
    if isinstance(item, Rejected):
        return item
    frames, width = item.detected_FC.shape
    expected = track.info.joints * track.info.dims
    if width != expected:
        reason = f"{width} values a frame, expected {expected}"
    elif not 0 < frames < 1 << START_BITS:
        reason = f"{frames} frames; a sequence has 1 to {(1 << START_BITS) - 1}: cut it"
    else:
        return item
    return Rejected(str(track), item.name, "detected", reason)


def _blocks(sequences: list[PoseSequence]) -> Iterator[list[PoseSequence]]:
    block: list[PoseSequence] = []
    size = 0
    for sequence in sequences:
        mine = sequence.detected_FC.nbytes * (1 if sequence.truth_FC is None else 2)
        if block and size + mine > PART_BYTES:
            yield block
            block, size = [], 0
        block.append(sequence)
        size += mine
    if block:
        yield block


def _quarantined(split: Split, item: Rejected, data: Path | None) -> Quarantined:
    file = Path(item.file)
    inside = data is not None and file.is_relative_to(data)
    name = str(file.relative_to(data)) if inside and data is not None else item.file
    return Quarantined(split, name, item.sequence, item.key, item.reason)


def _from_json(text: str) -> Intake:
    fields = json.loads(text)
    return Intake(**{**fields, "quarantined": [Quarantined(**q) for q in fields["quarantined"]]})
