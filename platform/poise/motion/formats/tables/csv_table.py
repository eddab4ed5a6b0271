"""CSV with a header: a row for each frame, or for each joint; any separator, decimal commas too."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from poise.motion.format import Format, Sample, Written
from poise.motion.motion import DIMENSIONS, Motion
from poise.motion.names import plain_cell
from poise.motion.tables.columns import Layout, layout_of
from poise.motion.tables.rows import TableRest, table_motion
from poise.motion.text.grid import Grid, split_cells, unquoted
from poise.runtime.errors import DataError

_LONG: Final = {
    "frame": "number of the frame, or the name of its image",
    "time": "seconds; or another unit that the name says, as time_ms; left out where nobody knows",
    "person": "who it is; left out where there is one person",
    "joint": "name or number of the joint; also bodypart, keypoint, landmark_id, marker",
    "x, y, z": "coordinates; empty where the joint was not seen",
    "confidence": "how sure the estimator is; also visibility, likelihood, score",
}
_WIDE: Final = {
    "frame, time, person": "as in the long form; each may be left out",
    "NAME_x, NAME_y, NAME_z": "coordinates of a joint; also NAME.x, x_NAME, x1, p1x, NAME X (mm)",
    "NAME_confidence": "how sure the estimator is; also visibility, likelihood, score, v1",
    "other columns": "kept as they are",
}
_SEARCHED: Final = 20


@dataclass(frozen=True)
class _CsvTable:
    sample: Sample
    header: int
    separator: str

    @property
    def path(self) -> Path:
        return self.sample.path

    def grid(self, columns: Sequence[int]) -> Grid:
        return Grid.read(self.sample, self.header + 1, columns, self.separator)

    def numbers(self, columns: Sequence[int]) -> NDArray[np.float64]:
        return self.grid(columns).values_RC

    def _lines(self) -> list[str]:
        lines = self.sample.text.split("\n")[self.header + 1 :]
        while lines and not lines[-1].strip():
            lines.pop()
        while lines and not lines[0].strip():
            del lines[0]
        return lines

    def texts(self, column: int) -> list[str]:
        cells = (split_cells(line, self.separator) for line in self._lines())
        return [unquoted(row[column]) if column < len(row) else "" for row in cells]

    def is_text(self, column: int) -> bool:
        for line in self.sample.head_lines[self.header + 1 : self.header + 1 + _SEARCHED]:
            row = split_cells(line, self.separator)
            cell = unquoted(row[column]) if column < len(row) else ""
            if cell and not _is_number(cell):
                return True
        return False

    def place(self, row: int) -> str:
        return f"{self.path}, line {self.header + row + 2}"


def _header(sample: Sample) -> tuple[int, str, Layout] | None:
    """Return the number of the header's line, what separates its cells, and what they are."""
    for number, line in enumerate(sample.head_lines[:_SEARCHED]):
        if line.lstrip().startswith("#") or not line.strip():
            continue
        separator = max("\t;,", key=line.count)
        found = layout_of([unquoted(cell) for cell in split_cells(line, separator)])
        if found is not None and _numbers_follow(sample, number, separator, found):
            return number, separator, found
    return None


def _numbers_follow(sample: Sample, header: int, separator: str, layout: Layout) -> bool:
    """Whether what follows may be a table: prose, too, has lines with "x, y" in them."""
    row = next((line for line in sample.head_lines[header + 1 :] if line.strip()), None)
    if row is None:
        return True  # a table without frames, which its reader says
    cells = [unquoted(cell) for cell in split_cells(row, separator)]
    places = (place for axes in layout.axes for place in axes if place < len(cells))
    return any(not cells[place] or _is_number(cells[place]) for place in places)


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True


def _fits_long(sample: Sample) -> bool:
    found = _header(sample)
    return found is not None and found[2].is_long


def _fits_wide(sample: Sample) -> bool:
    found = _header(sample)
    return found is not None and not found[2].is_long


def _read(sample: Sample) -> Motion:
    found = _header(sample)
    if found is None:
        raise DataError(
            f"{sample.path}: no line of its first {_SEARCHED} names columns of joints, as frame, "
            "joint, x, y or nose_x, nose_y"
        )
    number, separator, layout = found
    return table_motion(_CsvTable(sample, number, separator), layout)


def _rewritten(motion: Motion) -> bytes | None:
    rest = motion.rest
    if isinstance(rest, TableRest) and isinstance(rest.table, _CsvTable):
        found = rest.rows_of(motion)
        if found is not None:
            return rest.table.grid(rest.columns).rewritten(*found)
    return None


def _write_long(motion: Motion) -> Written:
    kept = _rewritten(motion)
    return kept if kept is not None else motion.to_pandas().to_csv(index=False).encode()


def _write_wide(motion: Motion) -> Written:
    kept = _rewritten(motion)
    return kept if kept is not None else wide_table(motion).to_csv(index=False).encode()


def wide_table(motion: Motion) -> Any:
    """Return a row for each frame, or for each person in a frame where there are several."""
    import pandas as pd

    frames, people, _, dims = motion.poses_FPJD.shape
    columns: dict[str, Any] = {"frame": np.repeat(motion.frames_F, people)}
    if motion.rate_known:
        columns["time"] = np.repeat(motion.times_F, people)
    if people > 1:
        columns["person"] = np.tile(np.array(motion.people), frames)
    for at, joint in enumerate(motion.joints):
        name = plain_cell(joint)
        for place, axis in enumerate(DIMENSIONS[:dims]):
            columns[f"{name}_{axis}"] = motion.poses_FPJD[:, :, at, place].ravel()
        if motion.confidence_FPJ is not None:
            columns[f"{name}_confidence"] = motion.confidence_FPJ[:, :, at].ravel()
    return pd.DataFrame(columns)


_HOLDS: Final = frozenset({"people", "identity", "confidence", "names", "rate", "times"})

FORMATS: Final = (
    Format(
        name="csv",
        about="CSV, a row for each frame, person and joint; MediaPipe's landmarks, too",
        endings=(".csv", ".tsv"),
        fields=_LONG,
        fits=_fits_long,
        read=_read,
        write=_write_long,
        holds=_HOLDS,
    ),
    Format(
        name="csv-wide",
        about="CSV, a row for each frame: freemocap, MediaPipe dumps, Kinovea, SLEAP, Sports2D",
        endings=(".csv", ".tsv", ".txt"),
        fields=_WIDE,
        fits=_fits_wide,
        read=_read,
        write=_write_wide,
        holds=_HOLDS,
    ),
)
