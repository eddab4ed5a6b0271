"""OpenSim's tables over time (MOT, STO): joint angles, each refined by itself."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from poise.motion.format import Format, Sample, Written
from poise.motion.motion import Motion
from poise.motion.names import checked_names
from poise.motion.rates import rate_of
from poise.motion.text.grid import Grid
from poise.runtime.errors import DataError

_FIELDS: Final = {
    "header": "kept as it is, to endheader; inDegrees says what angles are in",
    "time": "seconds",
    "other columns": "a joint's angle or a coordinate, each a joint of one dimension",
}
_SEARCHED: Final = 200


@dataclass(frozen=True)
class _Header:
    lines: int
    columns: list[str]
    degrees: bool


def _header(sample: Sample) -> _Header | None:
    degrees = False
    for number, line in enumerate(sample.head_lines[:_SEARCHED]):
        words = line.strip().lower()
        degrees |= words.replace(" ", "") == "indegrees=yes"
        if words == "endheader":
            columns = next((one for one in sample.head_lines[number + 1 :] if one.strip()), None)
            if columns is None:
                return None
            skipped = sample.head_lines.index(columns, number + 1)
            return _Header(skipped + 1, columns.split(), degrees)
    return None


def _fits(sample: Sample) -> bool:
    found = _header(sample)
    return found is not None and found.columns[:1] == ["time"]


def _read(sample: Sample) -> Motion:
    header = _header(sample)
    if header is None or len(header.columns) < 2:
        raise DataError(f"{sample.path}: no columns below endheader; export it again")
    names = checked_names(sample.path, header.columns[1:], "column")
    grid = Grid.read(sample, header.lines, range(len(header.columns)))
    times = grid.values_RC[:, 0]
    bad = np.isnan(times) | (np.diff(times, prepend=-np.inf) < 0)
    if bad.any():
        line = grid.line_of(int(bad.argmax()))
        raise DataError(
            f"{sample.path}, line {line}: no time, or one before that of the line above"
        )
    angles = "degrees" if header.degrees else "radians"
    return Motion(
        poses_FPJD=grid.values_RC[:, None, 1:, None],
        joints=names,
        fps=rate_of(times),
        times_F=times,
        entries_FP=np.arange(len(times))[:, None],
        rest=grid,
        source=sample.path,
        notes=(f"angles in {angles}, translations in metres: no skeleton, each for itself",),
    )


def _write(motion: Motion) -> Written:
    grid, entries = motion.rest, motion.entries_FP
    if not isinstance(grid, Grid) or entries is None:
        raise DataError("mot is written only over such a file")
    rows = entries[:, 0]
    if not np.array_equal(rows, np.arange(len(grid.lines))):  # as the header counts
        raise DataError(f"{grid.path}: has {len(grid.lines)} rows, not {len(rows)}; write them all")
    values = np.hstack([grid.values_RC[rows, :1], motion.poses_FPJD[:, 0, :, 0]])
    return grid.rewritten(rows, values)


FORMATS: Final = (
    Format(
        name="mot",
        about="OpenSim's MOT and STO: joint angles over time; written back only",
        endings=(".mot", ".sto"),
        fields=_FIELDS,
        fits=_fits,
        read=_read,
        write=_write,
        dims=(1,),
        holds=frozenset({"names", "rate", "times"}),
        only_over=("mot",),
    ),
)
