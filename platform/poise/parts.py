"""Parquet parts: written whole under a name made of their content, read whole or by row group."""

import hashlib
import io
import itertools
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from poise import storage
from poise.errors import LakeError

#: Frames of a row group of ``sequences``: what one task reads.
_GROUP_FRAMES = 16_384
_FLOATS = [f"{name}.list.element.list.element" for name in ("detected", "truth")]
_TEXTS = ["sequence", "subject", "camera", "action"]


def read_part(path: str, columns: list[str] | None = None, group: int | None = None) -> pa.Table:
    """Return one part, or one of its row groups; raise `LakeError` where it cannot be read."""
    filesystem, inner = storage.resolve(path)
    try:
        with filesystem.open_input_file(inner) as file, pq.ParquetFile(file) as part:
            if group is None:
                return part.read(columns)
            return part.read_row_group(group, columns)
    except (FileNotFoundError, pa.ArrowInvalid) as error:
        raise LakeError(
            f"{path}: cannot be read ({error}); run jobs/ingest.py --force to make it anew"
        ) from None


def row_group_sizes(path: str) -> list[int]:
    """Return the rows of each row group of a part."""
    filesystem, inner = storage.resolve(path)
    with filesystem.open_input_file(inner) as file, pq.ParquetFile(file) as part:
        return [part.metadata.row_group(group).num_rows for group in range(part.num_row_groups)]


def write_part(folder: str, index: int, table: pa.Table) -> str:
    """Write a part under a name made of its place and content; return the name.

    The same rows give the same name and bytes, so a retry overwrites its own work, and new rows
    never touch a part that an older manifest still names.
    """
    names = table.schema.names
    options: dict[str, Any] = {
        "use_dictionary": [name for name in _TEXTS if name in names],
        "use_byte_stream_split": [path for path in _FLOATS if path.split(".")[0] in names],
    }
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, table.schema, compression="zstd", **options) as writer:
        for begin, end in _row_groups(table):
            writer.write_table(table.slice(begin, end - begin), row_group_size=max(end - begin, 1))
    data = sink.getvalue()
    name = f"part-{index:05d}-{hashlib.sha256(data).hexdigest()[:12]}.parquet"
    storage.write_bytes(storage.join(folder, name), data)
    return name


def _row_groups(table: pa.Table) -> list[tuple[int, int]]:
    if "frames" not in table.schema.names:
        return [(0, table.num_rows)]
    group_S = (np.cumsum(table.column("frames").to_numpy(), dtype=np.int64) - 1) // _GROUP_FRAMES
    cuts = np.flatnonzero(np.diff(group_S)) + 1
    bounds = [0, *cuts.tolist(), table.num_rows]
    return list(itertools.pairwise(bounds))
