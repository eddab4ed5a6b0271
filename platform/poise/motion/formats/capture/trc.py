"""TRC, the marker files of OpenSim, Cortex, Pose2Sim and Sports2D."""

import re
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from poise.catalog.joint_sets import of_names
from poise.motion.format import Format, Parts, Sample, Written
from poise.motion.motion import Floats, Motion
from poise.motion.names import MOST_FRAME, plain_cell, told_apart
from poise.motion.rates import rate_of
from poise.motion.text.grid import Grid, number_text
from poise.runtime.errors import DataError

_HEADER: Final = 5
_DIMS: Final = 3
_FIELDS: Final = {
    "DataRate": "frames a second; 0 where only the Time column tells",
    "Units": "of all coordinates: mm, m or cm",
    "Frame#": "number of the frame, from 0 or 1",
    "Time": "seconds",
    "X1 Y1 Z1": "position of the first marker; empty where it was not seen",
}
_AXES: Final = re.compile(r"[XYZ]\d*", re.IGNORECASE)
_UNITS: Final = {"m": "m", "meters": "m", "mm": "mm", "millimeters": "mm", "cm": "cm"}


def _fits(sample: Sample) -> bool:
    lines = sample.head_lines
    return bool(lines) and lines[0].strip().lower().startswith("pathfiletype")


def _read(sample: Sample) -> Motion:
    path, lines = sample.path, sample.text.split("\n", _HEADER + 2)[: _HEADER + 2]
    if len(lines) <= _HEADER:
        raise DataError(f"{path}: only {len(lines)} lines of its header are there; copy it again")
    told = dict(zip(lines[1].lower().split(), lines[2].split(), strict=False))
    cells = [cell.strip() for cell in lines[3].split("\t")]
    names = [cell for cell in cells[2:] if cell]
    if not names or cells[0].lower().rstrip("#") != "frame":
        raise DataError(f"{path}, line 4: names no markers; it must read Frame# Time NAME ...")
    header = _HEADER if _AXES.match(lines[4].split()[0] if lines[4].split() else "X") else 4
    grid = Grid.read(sample, header, range(2 + _DIMS * len(names)))
    numbers, times = _frames(grid, told)
    frames, joints = len(grid.lines), len(names)
    poses = grid.values_RC[:, 2:].reshape(frames, 1, joints, _DIMS)
    unit: Any = _UNITS.get(told.get("units", "").lower())
    known = of_names(names)
    return Motion(
        poses_FPJD=poses,
        joints=told_apart(names),
        fps=rate_of(times, numbers) or _told_rate(told),
        times_F=times,
        frames_F=numbers,
        skeleton=known.name if known else None,
        unit=unit,
        entries_FP=np.arange(frames)[:, None],
        rest=grid,
    )


def _frames(grid: Grid, told: Mapping[str, str]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return numbers and times of the frames; the Time column counts before the rate."""
    numbers, times = grid.values_RC[:, 0], grid.values_RC[:, 1]
    bad = np.isnan(numbers) | (np.abs(numbers) > MOST_FRAME)
    if bad.any():
        raise DataError(f"{grid.path}, line {grid.line_of(int(bad.argmax()))}: no frame number")
    if np.isnan(times).any() or not np.diff(times).any():
        rate = _told_rate(told)
        if rate is None:
            missing = int(np.isnan(times).argmax())
            raise DataError(f"{grid.path}, line {grid.line_of(missing)}: neither a Time nor a rate")
        times = (numbers - numbers[0]) / rate
    back = np.flatnonzero(np.diff(times) < 0)
    if len(back):
        raise DataError(
            f"{grid.path}, line {grid.line_of(int(back[0]) + 1)}: its time lies before that of the "
            "line above; sort the lines by time"
        )
    return numbers.astype(np.int64), times


def _told_rate(told: Mapping[str, str]) -> float | None:
    """Return the header's rate; None where it says 0, as some programs do, or nothing."""
    try:
        rate = float(told.get("datarate", ""))
    except ValueError:
        return None
    return rate if 0 < rate < np.inf else None


def _write(motion: Motion) -> Written:
    frames = len(motion)
    poses = motion.poses_FPJD[:, 0]
    if isinstance(motion.rest, Grid) and motion.entries_FP is not None:
        rows = motion.entries_FP[:, 0]
        whole = np.array_equal(rows, np.arange(len(motion.rest.lines)))  # as the header counts
        if whole and 2 + poses[0].size == len(motion.rest.columns):
            same = motion.rest.values_RC[rows, :2]
            now = np.hstack([same, poses.reshape(frames, -1)])
            return Parts(motion.rest.rewritten_in_parts(rows, now))
    return _new(motion, poses)


def _new(motion: Motion, poses_FJD: Floats) -> bytes:
    fps = motion.fps
    if fps is None:
        raise DataError(f"{motion.source}: says no frame rate, and TRC needs one: give --fps")
    unit = motion.unit or "m"
    decimals = {"cm": 5, "mm": 4}.get(unit, 6)
    frames, joints, _ = poses_FJD.shape
    told = (f"{fps:g}", f"{fps:g}", frames, joints, unit, f"{fps:g}", 1, frames)
    lines = [
        "PathFileType\t4\t(X/Y/Z)\tposes.trc",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame"
        "\tOrigNumFrames",
        "\t".join(map(str, told)),
        "Frame#\tTime\t"
        + "".join(f"{plain_cell(name)}\t\t\t" for name in motion.joints).rstrip("\t"),
        "\t\t" + "\t".join(f"{axis}{at + 1}" for at in range(joints) for axis in "XYZ"),
    ]
    rows = poses_FJD.reshape(frames, -1)
    for number, time, row in zip(motion.frames_F, motion.times_F, rows.tolist(), strict=True):
        cells = [number_text(value, decimals) for value in row]
        lines.append("\t".join([str(number), f"{time:.6f}", *cells]))
    return ("\n".join(lines) + "\n").encode()


FORMATS: Final = (
    Format(
        name="trc",
        about="markers of OpenSim, Cortex, Pose2Sim, Sports2D",
        endings=(".trc",),
        fields=_FIELDS,
        fits=_fits,
        read=_read,
        write=_write,
        dims=(3,),
        holds=frozenset({"names", "rate", "times", "unit"}),
    ),
)
