"""Tables of numbers in text files: read fast, and written back with every cell kept that is."""

import io
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from poise.motion.format import Sample
from poise.motion.style import TextStyle
from poise.runtime.errors import DataError, in_short
from poise.runtime.printable import printable

#: How programs write that there is no number.
NOTHING: Final = ("", "nan", "NaN", "NAN", "-nan", "NA", "N/A", "null", "None", "1.#QNAN",
                  "-1.#IND", "nan(ind)", "-nan(ind)", "--", "-")  # fmt: skip
_BLANKS: Final = r"\s+"
_TOKENS: Final = re.compile(r"\s+|\S+")
_QUOTED: Final = re.compile(r'"(?:[^"]|"")*"|[^"]')
_COMMA: Final = re.compile(r'(?:^|[\t; "])-?\d+,\d+(?=["\t; ]|$)')
_DECIMALS: Final = re.compile(r"[.,](\d+)(?:[eE]|\b)")
_SAMPLED: Final = 20
_WIDEST: Final = 10_000
#: Digits that a number can have before its point.
_LONGEST_NUMBER: Final = 308
#: Rows that are read or written at a time: more only take memory.
_BLOCK: Final = 4096
#: From so many decimals all there are are written.
_EVERY_DIGIT: Final = 15
_FEWEST_DECIMALS: Final = 3


@dataclass(frozen=True)
class Grid:
    """Rows of numbers, as they stand in a file.

    Attributes:
        path: the file.
        style: encoding and line ends of the file.
        before: the lines above.
        lines: the rows, as text.
        separator: between cells: a character, or blanks as a regular expression.
        columns: which cells of a row the values are.
        values_RC: a row's numbers; NaN where a cell is empty.
        comma: whether decimals stand behind a comma.
    """

    path: Path
    style: TextStyle
    before: tuple[str, ...]
    lines: tuple[str, ...]
    separator: str
    columns: tuple[int, ...]
    values_RC: NDArray[np.float64]
    comma: bool

    @classmethod
    def read(
        cls, sample: Sample, header: int, columns: Collection[int], separator: str | None = None
    ) -> Self:
        """Read the rows below a header.

        Args:
            sample: the file.
            header: how many lines are above the rows.
            columns: which cells to take as numbers, in this order.
            separator: between cells; None tells it from the first row.

        Raises:
            DataError: a cell is no number, a row has too many, or the last one ends in its midst;
                names file and line.
        """
        style = sample.style
        all_lines = sample.text.split("\n")
        end = len(all_lines)
        while header < end and not all_lines[header].strip():
            header += 1
        while end > header and not all_lines[end - 1].strip():
            end -= 1
        lines = all_lines[header:end]
        if not lines:
            raise DataError(f"{sample.path}: no frames below its header; record it again")
        separator = separator or separator_of(lines[0])
        comma = separator != "," and decimal_commas(lines[:_SAMPLED])
        if not sample.style.ends_in_line:
            _check_end(sample.path, lines, header, separator)
        values = _parse(sample.path, lines, header, separator, comma, tuple(columns))
        return cls(
            path=sample.path,
            style=style,
            before=tuple(all_lines[:header]),
            lines=tuple(lines),
            separator=separator,
            columns=tuple(columns),
            values_RC=values,
            comma=comma,
        )

    def line_of(self, row: int) -> int:
        """Return the number of a row's line in its file, from 1."""
        return len(self.before) + row + 1

    def rewritten(self, rows: NDArray[np.int64], values_RC: NDArray[Any]) -> bytes:
        """Return the file with other numbers; lines and cells that are the same keep their text.

        Args:
            rows: which rows are in the new file, in order.
            values_RC: their numbers.
        """
        return b"".join(self.rewritten_in_parts(rows, values_RC))

    def rewritten_in_parts(
        self, rows: NDArray[np.int64], values_RC: NDArray[Any]
    ) -> Iterator[bytes]:
        """Yield what `rewritten` returns, some thousand rows at a time."""
        return self.style.encoded(self._texts(rows, values_RC))

    def _texts(self, rows: NDArray[np.int64], values_RC: NDArray[Any]) -> Iterator[str]:
        decimals, line_end = self._decimals(), ""
        if self.before:
            yield "\n".join(self.before)
            line_end = "\n"
        for first in range(0, len(rows), _BLOCK):
            block = rows[first : first + _BLOCK]
            lines = self._with_values(block, values_RC[first : first + _BLOCK], decimals)
            yield line_end + "\n".join(lines)
            line_end = "\n"
        if self.style.ends_in_line:
            yield "\n"

    def cut(self, rows: NDArray[np.int64]) -> Self:
        """Return some of the rows."""
        lines = tuple(self.lines[row] for row in rows.tolist())
        return replace(self, lines=lines, values_RC=self.values_RC[rows])

    def _with_values(
        self, rows: NDArray[np.int64], values_RC: NDArray[Any], decimals: int
    ) -> Iterator[str]:
        """Yield the lines of rows; a cell whose number is another one is written anew."""
        old = self.values_RC[rows]
        changed_RC = (values_RC != old) & ~(np.isnan(values_RC) & np.isnan(old))
        whole_RC = changed_RC & (values_RC == np.rint(values_RC))
        texts = number_texts(values_RC, decimals)
        for row, (number, cells, changed_C) in enumerate(
            zip(rows.tolist(), texts, changed_RC, strict=True)
        ):
            line = self.lines[number]
            if changed_C.any():
                whole = np.flatnonzero(whole_RC[row]).tolist()
                places = np.flatnonzero(changed_C).tolist()
                line = self._with_cells(line, places, cells, {c: values_RC[row, c] for c in whole})
            yield line

    def _with_cells(
        self, line: str, places: Sequence[int], texts: Sequence[str], whole: Mapping[int, float]
    ) -> str:
        """Return a line with other cells; whole numbers stay without decimals where they were."""
        cells = split_cells(line, self.separator)
        # Blanks stand between cells, and perhaps before the first: they are every other token.
        blanks = self.separator == _BLANKS
        first = int(blanks and bool(cells) and cells[0].isspace())
        quoted = '"' in line
        for place in places:
            column = self.columns[place]
            at = first + 2 * column if blanks else column
            if at >= len(cells):
                cells += [""] * (at + 1 - len(cells))
            text = texts[place]
            if place in whole and cells[at].strip('"-').isdecimal():
                text = f"{whole[place]:.0f}"
            if self.comma:
                text = text.replace(".", ",")
            cells[at] = f'"{text}"' if quoted and cells[at].startswith('"') else text
        return "".join(cells) if blanks else self.separator.join(cells)

    def _decimals(self) -> int:
        found = [
            len(digits) for line in self.lines[:_SAMPLED] for digits in _DECIMALS.findall(line)
        ]
        return max(_FEWEST_DECIMALS, *found) if found else _FEWEST_DECIMALS


def number_text(value: float, decimals: int) -> str:
    """Write a number with so many decimals, all there are from 15; nothing for NaN."""
    if value != value:
        return ""
    if decimals >= _EVERY_DIGIT or (value and abs(value) < 10.0 ** (1 - decimals)):
        return repr(value)
    return f"{value:.{decimals}f}"


def number_texts(values_RC: NDArray[Any], decimals: int) -> list[list[str]]:
    """Write rows of numbers as `number_text` writes each."""
    if decimals >= _EVERY_DIGIT or not values_RC.shape[1]:
        return [[number_text(value, decimals) for value in row] for row in values_RC.tolist()]
    form = "\t".join([f"%.{decimals}f"] * values_RC.shape[1])
    texts = [(form % tuple(row)).split("\t") for row in values_RC.tolist()]
    small_RC = (values_RC != 0) & (np.abs(values_RC) < 10.0 ** (1 - decimals))
    for row, column in np.argwhere(small_RC | np.isnan(values_RC)).tolist():
        texts[row][column] = number_text(float(values_RC[row, column]), decimals)
    return texts


def separator_of(line: str) -> str:
    """Return what stands between the cells of a row."""
    if "\t" in line:
        return "\t"
    if ";" in line:
        return ";"
    if "," in line and not (decimal_commas([line]) and " " in line.strip()):
        return ","
    return _BLANKS


def decimal_commas(lines: Sequence[str]) -> bool:
    """Say whether numbers of rows that no comma separates have decimals behind one."""
    return any(_COMMA.search(line) for line in lines) and not any(
        re.search(r"\d\.\d", line) for line in lines
    )


def split_cells(line: str, separator: str) -> list[str]:
    """Return the cells of a line; quotes stay, and so do blanks that separate."""
    if separator == _BLANKS:
        return _TOKENS.findall(line)
    if '"' not in line:
        return line.split(separator)
    cells = [""]
    for part in _QUOTED.findall(line):
        if part == separator:
            cells.append("")
        else:
            cells[-1] += part
    return cells


def unquoted(cell: str) -> str:
    """Return what a cell says, without blanks and quotes around it."""
    cell = cell.strip()
    if len(cell) > 1 and cell[0] == cell[-1] == '"':
        cell = cell[1:-1].replace('""', '"').strip()
    return cell


def _check_end(path: Path, lines: Sequence[str], header: int, separator: str) -> None:
    """Refuse a last row that stops in its midst: its last number may be half of one."""
    *above, there = (len(_cells_of(line, separator)) for line in lines[-2:])
    if above and there < above[0]:
        raise DataError(
            f"{path}, line {header + len(lines)}: ends after {there} of {above[0]} cells, without "
            "a line end; the file is cut short, so fetch it again or take out that line"
        )


def _cells_of(line: str, separator: str) -> list[str]:
    return line.split() if separator == _BLANKS else split_cells(line, separator)


def _parse(
    path: Path,
    lines: Sequence[str],
    header: int,
    separator: str,
    comma: bool,
    columns: tuple[int, ...],
) -> NDArray[np.float64]:
    if separator == _BLANKS:
        widths = [len(line.split()) for line in lines]
    elif any('"' in line for line in lines):
        widths = [len(split_cells(line, separator)) for line in lines]
    else:
        widths = [line.count(separator) + 1 for line in lines]
    width = max(*widths, max(columns, default=0) + 1) if widths else 0
    if width > _WIDEST:
        row = widths.index(max(widths))
        raise DataError(
            f"{path}, line {header + row + 1}: {width:,} cells in a line; Poise reads up to "
            f"{_WIDEST:,}"
        )
    found = np.empty((len(lines), len(columns)))
    for first in range(0, len(lines), _BLOCK):
        block = lines[first : first + _BLOCK]
        table = _table(path, block, separator, comma, width, columns)
        for place, column in enumerate(columns):
            cells = _column(table[column], path, header + first + 1, column + 1)
            found[first : first + _BLOCK, place] = cells
    infinite = np.argwhere(np.isinf(found))
    if len(infinite):
        row, place = infinite[0].tolist()
        raise DataError(
            f"{path}, line {header + row + 1}, cell {columns[place] + 1}: an infinite number; "
            "empty the cell where nothing was seen"
        )
    return found


def _table(
    path: Path,
    lines: Sequence[str],
    separator: str,
    comma: bool,
    width: int,
    columns: tuple[int, ...],
) -> Any:
    """Return columns of some lines as a table of pandas."""
    import pandas as pd  # half a second to import

    try:
        table: Any = pd.read_csv(
            io.StringIO("\n".join(line or " " for line in lines)),
            sep=separator,
            header=None,
            names=list(range(width)),
            usecols=sorted(columns),
            decimal="," if comma else ".",
            na_values=list(NOTHING),
            skip_blank_lines=False,
            skipinitialspace=separator != _BLANKS,
            float_precision="round_trip",
            index_col=False,
            low_memory=False,
            engine="c",
        )
    except (ValueError, OverflowError) as error:
        raise DataError(f"{path}: is no table of numbers ({in_short(error)})") from None
    if len(table) != len(lines):
        raise DataError(f"{path}: a quote goes on over a line's end; close or take out the quotes")
    return table


def _column(values: Any, path: Path, first: int, cell: int) -> NDArray[np.float64]:
    """Return a column of text and numbers as numbers; `first` is the line that its rows begin in.

    Raises:
        DataError: a cell is no number.
    """
    import pandas as pd

    if values.dtype.kind in "fiu":
        return np.asarray(values, np.float64)
    text = values.astype(str).str.strip()
    # Whole numbers of hundreds of digits are none that a float can be.
    huge = text.str.len() > _LONGEST_NUMBER
    numeric = pd.to_numeric(values.mask(huge), errors="coerce")
    bad = (numeric.isna() & values.notna() & ~text.isin(NOTHING)).to_numpy()
    if not bad.any() and values.dtype.kind != "b":
        return np.asarray(numeric, np.float64)
    row = int(bad.argmax())
    raise DataError(
        f"{path}, line {first + row}, cell {cell}: {printable(str(values.iloc[row])[:40])!r} is no "
        "number; correct or empty it"
    )
