"""A tiny track in a lake, written in a second and without Milvus; neighbours are made up."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tests.support.lake_rows import write_rows

from poise.catalog.splits import SPLITS, Split
from poise.catalog.tracks import Track
from poise.lake.ids import WINDOW, encode, sequence_ids
from poise.lake.manifest import (
    SCHEMA_VERSION,
    Kind,
    Manifest,
    Pvd,
    SplitSummary,
    part_folder,
    pvd_alias,
    write_manifest,
)
from poise.lake.schemas import NEIGHBOURS, sequence_table, window_schema
from poise.readers.sequence import PoseSequence
from poise.readers.synthetic.sequences import Size, sequences

#: Not the synthetic track, which a job would make anew; the poses are synthetic all the same.
TRACK = Track("uiprmd", "kinect", "3D")


def write_tiny_lake(
    lake: Path | str,
    subjects: int = 3,
    per_subject: int = 3,
    frames: int = 40,
    group: int | None = None,
    track: Track = TRACK,
) -> None:
    """Write the track, by default with three training subjects; the test split has one.

    ``group`` is how many sequences make a row group; all of a split where None. A ``track`` may be
    another one of 17 joints.
    """
    train, test = Size(subjects, per_subject, frames), Size(1, per_subject, frames)
    sizes: dict[Split, Size] = {"train": train, "test": test}
    made = {split: _made(track, split, sizes[split]) for split in SPLITS}
    bank = _windows(track, "train", made["train"])
    summaries = {}
    for split in SPLITS:
        own = _windows(track, split, made[split])
        tables: dict[Kind, pa.Table] = {
            "sequences": _sequence_table(track, split, made[split]),
            "windows": _with_neighbours(own, bank),
        }
        parts = {
            kind: [write_rows(part_folder(str(lake), track, kind, split), table, size)]
            for (kind, table), size in zip(tables.items(), (group, None), strict=True)
        }
        summaries[split] = SplitSummary(
            read=len(made[split]),
            sequences=len(made[split]),
            quarantined=0,
            frames=sum(len(s.detected_FC) for s in made[split]),
            windows=len(own),
            truth=True,
            subjects=sorted({s.subject for s in made[split]}),
            sequences_parts=parts["sequences"],
            windows_parts=parts["windows"],
        )
    alias = pvd_alias(track)
    info = track.info
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        poise_version="test",
        track=str(track),
        representation=track.representation,
        joints=info.joints,
        dims=info.dims,
        window=WINDOW,
        fps=30.0,
        splits={str(split): summary for split, summary in summaries.items()},
        sources=[],
        quarantined=[],
        pvd=Pvd(f"{alias}_test", alias, 84, len(bank), "L2", 1.0),
    )
    write_manifest(str(lake), manifest)


def _made(track: Track, split: Split, size: Size) -> list[PoseSequence]:
    """Make sequences, of which a narrower track has the first columns."""
    width = track.info.joints * track.info.dims
    return [
        replace(
            one,
            detected_FC=one.detected_FC[:, :width],
            truth_FC=None if one.truth_FC is None else one.truth_FC[:, :width],
        )
        for one in sequences(split, size)
    ]


def _sequence_table(track: Track, split: Split, made: list[PoseSequence]) -> pa.Table:
    ids = sequence_ids(track, split, [s.name for s in made])
    return sequence_table([ids[s.name] for s in made], made)


def _windows(track: Track, split: Split, made: list[PoseSequence]) -> pa.Table:
    ids = sequence_ids(track, split, [s.name for s in made])
    rows = [
        (ids[s.name], start, s.subject)
        for s in made
        for start in range(len(s.detected_FC) - WINDOW + 1)
    ]
    return pa.table(
        {
            "window_id": pa.array([encode(s, t) for s, t, _ in rows], pa.int64()),
            "sequence_id": pa.array([s for s, _, _ in rows], pa.int64()),
            "start": pa.array([t for _, t, _ in rows], pa.int32()),
            "subject": pa.array([name for _, _, name in rows], pa.string()),
        }
    )


def _with_neighbours(own: pa.Table, bank: pa.Table) -> pa.Table:
    random = np.random.default_rng(0)
    bank_ids, bank_subjects = np.array(bank["window_id"]), np.array(bank["subject"])
    ids = np.empty((len(own), NEIGHBOURS), np.int64)
    subjects = np.array(own["subject"])
    for subject in np.unique(subjects):
        mine = subjects == subject
        others = bank_ids[bank_subjects != subject]
        ids[mine] = random.choice(others, (int(mine.sum()), NEIGHBOURS))
    distances = np.sort(random.random(ids.shape, np.float32), axis=1)
    schema = window_schema()
    columns: dict[str, Any] = {
        **{name: own[name] for name in own.column_names},
        "neighbour_ids": pa.FixedSizeListArray.from_arrays(pa.array(ids.ravel()), NEIGHBOURS),
        "neighbour_distances": pa.FixedSizeListArray.from_arrays(
            pa.array(distances.ravel()), NEIGHBOURS
        ),
    }
    return pa.table(columns).select(schema.names).cast(schema)
