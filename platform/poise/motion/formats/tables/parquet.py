"""Parquet with the columns of the CSV forms."""

import io
from collections.abc import Sequence
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
_FIELDS: Final = {
    "frame, time, person, joint, x, y, z, confidence": "as in csv, a row for each joint",
    "frame, time, person, NAME_x, NAME_y, ...": "as in csv-wide, a row for each frame",
    "other columns, metadata": "kept as they are",
}


@dataclass(frozen=True)
class _ParquetTable:
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


def _fits(sample: Sample) -> bool:
    return sample.head.startswith(_MAGIC)


def _read(sample: Sample) -> Motion:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = sample.path
    try:
        with pq.ParquetFile(path) as file:
            about = file.metadata
            Budget.of(path).numbers((about.num_rows, about.num_columns))
            table = file.read()
            table.validate(full=True)
    except BudgetError as error:
        raise DataError(f"{path}: refused: {error}") from None
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DataError(
            f"{path}: no whole Parquet file ({in_short(error)}); copy it again"
        ) from None
    if not table.num_rows:
        raise DataError(f"{path}: no rows")
    layout = layout_of(table.column_names)
    if layout is None:
        raise DataError(
            f"{path}: its columns are {', '.join(table.column_names[:10])}; expected frame, joint, "
            "x, y or nose_x, nose_y"
        )
    return table_motion(_ParquetTable(path, table), layout)


def _write(motion: Motion) -> Written:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table: Any = None
    rest = motion.rest
    if isinstance(rest, TableRest) and isinstance(rest.table, _ParquetTable):
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
    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd")
    return out.getvalue()


FORMATS: Final = (
    Format(
        name="parquet",
        about="Parquet, a row for each joint or each frame",
        endings=(".parquet", ".pq"),
        fields=_FIELDS,
        fits=_fits,
        read=_read,
        write=_write,
        holds=frozenset({"people", "identity", "confidence", "names", "rate", "times"}),
    ),
)
