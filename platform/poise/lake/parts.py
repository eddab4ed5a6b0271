"""Parquet parts: written row group by row group under a name made of their content, and read."""

import hashlib
from collections.abc import Iterable
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from poise.runtime import storage
from poise.runtime.errors import LakeError, in_short

#: Frames of a row group of ``sequences``: what one task reads.
GROUP_FRAMES = 16_384
#: Parts that a split's windows are dealt to, and the least and the most rows of one.
_PARTS, _LEAST_ROWS, _MOST_ROWS = 32, 8_192, 131_072
_FLOATS = [
    *(f"{name}.list.element.list.element" for name in ("detected", "truth")),
    "vector.list.element",
]
_TEXTS = ["sequence", "subject", "camera", "action", "take"]
#: Measured: see docs/benchmarks.md.
_COMPRESSION, _LEVEL = "zstd", 1


def window_ranges(windows: int) -> list[tuple[int, int]]:
    """Deal the windows of a split, by their numbers, to parts that tasks write side by side.

    How many there are depends on the windows alone, not on who writes them.
    """
    rows = min(max(-(-windows // _PARTS), _LEAST_ROWS), _MOST_ROWS)
    return [(begin, min(begin + rows, windows)) for begin in range(0, windows, rows)]


def read_part(path: str, columns: list[str] | None = None, group: int | None = None) -> pa.Table:
    """Return one part, or one of its row groups; raise `LakeError` where it cannot be read."""
    filesystem, inner = storage.resolve(path)
    try:
        with (
            filesystem.open_input_file(inner) as file,
            pq.ParquetFile(file, page_checksum_verification=True) as part,
        ):
            if group is None:
                return part.read(columns)
            return part.read_row_group(group, columns)
    except (FileNotFoundError, pa.ArrowInvalid, OSError) as error:
        raise _unreadable(path, error) from None


def row_group_sizes(path: str) -> list[int]:
    """Return the rows of each row group of a part; raise `LakeError` where it cannot be read."""
    filesystem, inner = storage.resolve(path)
    try:
        with filesystem.open_input_file(inner) as file, pq.ParquetFile(file) as part:
            return [part.metadata.row_group(group).num_rows for group in range(part.num_row_groups)]
    except (FileNotFoundError, pa.ArrowInvalid, OSError) as error:
        raise _unreadable(path, error) from None


def write_part(folder: str, number: int, schema: pa.Schema, groups: Iterable[pa.Table]) -> str:
    """Write a part from row groups that come one by one; return its name.

    The name is made of the number and the content. The same rows give the same name and bytes, so a
    retry overwrites its own work, and new rows never touch a part that an older manifest names.
    """
    options: dict[str, Any] = {
        "use_dictionary": [name for name in _TEXTS if name in schema.names],
        "use_byte_stream_split": [path for path in _FLOATS if path.split(".")[0] in schema.names],
        "compression": _COMPRESSION,
        # Random mantissas pass through zstd as they are, so it does not notice a flipped byte.
        "write_page_checksum": True,
        "compression_level": _LEVEL,
    }
    with storage.draft(folder) as draft:
        sink: Any = _Hashed(draft.file)
        with pq.ParquetWriter(sink, schema, **options) as writer:
            for group in groups:
                writer.write_table(group, row_group_size=max(group.num_rows, 1))
        name = f"part-{number:05d}-{sink.digest.hexdigest()[:12]}.parquet"
        draft.publish(name)
    return name


class _Hashed:
    """A file that knows the hash of what was written to it."""

    closed = False

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return self._file.write(data)

    def tell(self) -> int:
        return self._file.tell()

    def flush(self) -> None:
        """Nothing: the file is flushed when it is published."""

    def close(self) -> None:
        """Nothing: who opened the file closes it."""


def _unreadable(path: str, error: Exception) -> LakeError:
    return LakeError(
        f"{path}: cannot be read ({in_short(error)}); run poise ingest --force to make it anew"
    )
