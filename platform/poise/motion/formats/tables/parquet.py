"""Parquet, and Arrow's own files and streams, with the columns of the CSV forms."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from poise.motion.format import Format, Sample, Written
from poise.motion.motion import Motion
from poise.motion.tables.columns import layout_of
from poise.motion.tables.rows import TableRest, table_motion
from poise.readers.untrusted.budget import Budget, BudgetError
from poise.runtime.errors import DataError, in_short

_MAGIC: Final = b"PAR1"
#: How Arrow's files and its streams begin.
_FILE, _STREAM = b"ARROW1\0\0", b"\xff\xff\xff\xff"
_FIELDS: Final = {
    "frame, time, person, joint, x, y, z, confidence": "as in csv, a row for each joint",
    "frame, time, person, NAME_x, NAME_y, ...": "as in csv-wide, a row for each frame",
    "other columns, metadata": "kept as they are",
}


@dataclass(frozen=True)
class _ArrowTable:
    path: Path
    table: Any

    def numbers(self, columns: Sequence[int]) -> NDArray[np.float64]:
        import pyarrow as pa

        found = np.empty((self.table.num_rows, len(columns)))
        for place, column in enumerate(columns):
            values = self.table.column(column)
            try:
                found[:, place] = values.cast("float64").to_numpy(zero_copy_only=False)
            except pa.ArrowException as error:
                name = self.table.column_names[column]
                raise DataError(
                    f"{self.path}, column {name}: no numbers ({in_short(error)})"
                ) from None
        if np.isinf(found).any():
            row = int(np.isinf(found).any(1).argmax())
            raise DataError(f"{self.place(row)}: an infinite number; empty it")
        return found

    def texts(self, column: int) -> list[str]:
        return ["" if one is None else str(one) for one in self.table.column(column).to_pylist()]

    def is_text(self, column: int) -> bool:
        import pyarrow as pa

        kind = self.table.schema.field(column).type
        return not (pa.types.is_integer(kind) or pa.types.is_floating(kind))

    def place(self, row: int) -> str:
        return f"{self.path}, row {row}"


def _parquet(path: Path) -> Any:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        about = file.metadata
        Budget.of(path).numbers((about.num_rows, about.num_columns))
        return file.read()


def _arrow(path: Path) -> Any:
    """Read batch by batch: columns without bytes may have any number of rows."""
    import pyarrow as pa

    budget, batches = Budget.of(path), []
    with pa.OSFile(str(path), "rb") as source:
        whole = source.read(len(_FILE)) == _FILE
        source.seek(0)
        reader: Any = pa.ipc.open_file(source) if whole else pa.ipc.open_stream(source)
        parts = map(reader.get_batch, range(reader.num_record_batches)) if whole else reader
        for batch in parts:
            budget.numbers((batch.num_rows, batch.num_columns))
            batches.append(batch)
    return pa.Table.from_batches(batches, reader.schema)


def _reads(name: str, load: Callable[[Path], Any]) -> Callable[[Sample], Motion]:
    def read(sample: Sample) -> Motion:
        import pyarrow as pa

        path = sample.path
        try:
            table = load(path)
            table.validate(full=True)
        except BudgetError as error:
            raise DataError(f"{path}: refused: {error}") from None
        except (OSError, ValueError, pa.ArrowException) as error:
            raise DataError(
                f"{path}: no whole {name} file ({in_short(error)}); copy it again"
            ) from None
        return _motion(path, table)

    return read


def _motion(path: Path, table: Any) -> Motion:
    if not table.num_rows:
        raise DataError(f"{path}: no rows")
    layout = layout_of(table.column_names)
    if layout is None:
        raise DataError(
            f"{path}: its columns are {', '.join(table.column_names[:10])}; expected frame, joint, "
            "x, y or nose_x, nose_y"
        )
    return table_motion(_ArrowTable(path, table), layout)


def _table(motion: Motion) -> Any:
    import pyarrow as pa

    table: Any = None
    rest = motion.rest
    if isinstance(rest, TableRest) and isinstance(rest.table, _ArrowTable):
        found = rest.rows_of(motion)
        if found is not None:
            rows, values = found
            table = rest.table.table.take(pa.array(rows))
            for place, column in enumerate(rest.columns):
                field = table.schema.field(column)
                kept = values[:, place]
                new = pa.array(kept, mask=np.isnan(kept)).cast(field.type, safe=False)
                table = table.set_column(column, field, new)
    if table is None:
        table = pa.Table.from_pandas(motion.to_pandas(), preserve_index=False)
    return table


def _as_parquet(motion: Motion) -> Written:
    import pyarrow.parquet as pq

    out = io.BytesIO()
    pq.write_table(_table(motion), out, compression="zstd")
    return out.getvalue()


def _as_arrow(motion: Motion) -> Written:
    import pyarrow as pa

    table, out = _table(motion), io.BytesIO()
    with pa.ipc.new_file(out, table.schema) as writer:
        writer.write_table(table)
    return out.getvalue()


_HOLDS: Final = frozenset({"people", "identity", "confidence", "names", "rate", "times"})
FORMATS: Final = (
    Format(
        name="parquet",
        about="Parquet, a row for each joint or each frame",
        endings=(".parquet", ".pq"),
        fields=_FIELDS,
        fits=lambda sample: sample.head.startswith(_MAGIC),
        read=_reads("Parquet", _parquet),
        write=_as_parquet,
        holds=_HOLDS,
    ),
    Format(
        name="arrow",
        about="Arrow, a row for each joint or each frame; files and streams",
        endings=(".arrow", ".feather"),
        fields=_FIELDS,
        fits=lambda sample: sample.head.startswith((_FILE, _STREAM)),
        read=_reads("Arrow", _arrow),
        write=_as_arrow,
        holds=_HOLDS,
    ),
)
