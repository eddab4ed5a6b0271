"""Rows of a lake as tables, read and written whole."""

from pathlib import Path

import pyarrow as pa

from poise.catalog.splits import Split
from poise.catalog.tracks import Track
from poise.lake.manifest import Kind, part_paths, read_manifest
from poise.lake.parts import read_part, write_part
from poise.lake.schemas import sequence_schema, window_schema


def read_sequences(lake: Path | str, track: Track, split: Split) -> pa.Table:
    """Return the sequences of a split."""
    info = track.info
    return _read(lake, track, "sequences", split, sequence_schema(info.joints * info.dims))


def read_windows(lake: Path | str, track: Track, split: Split) -> pa.Table:
    """Return the windows of a split."""
    return _read(lake, track, "windows", split, window_schema())


def _read(lake: Path | str, track: Track, kind: Kind, split: Split, schema: pa.Schema) -> pa.Table:
    paths = part_paths(lake, read_manifest(lake, track), kind, split)
    return pa.concat_tables([schema.empty_table(), *(read_part(path) for path in paths)])


def write_rows(folder: str, table: pa.Table, group: int | None = None) -> str:
    """Write a part of groups of so many rows, of one where None; return its name."""
    step = group or max(table.num_rows, 1)
    groups = [table.slice(at, step) for at in range(0, max(table.num_rows, 1), step)]
    return write_part(folder, 0, table.schema, groups)
