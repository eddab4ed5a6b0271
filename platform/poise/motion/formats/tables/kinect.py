"""Kinect v2 joints as CSV without a header: a time, then 25 times x, y, z and tracking state."""

from typing import Final

import numpy as np

from poise.catalog.joint_sets import joint_sets
from poise.motion.format import Format, Sample, Written
from poise.motion.motion import Motion
from poise.motion.rates import rate_of
from poise.motion.text.grid import Grid
from poise.runtime.errors import DataError

_FIELDS: Final = {
    "first cell": "time, in ticks of 100 ns",
    "x, y, z": "of each of the 25 joints, metres from the camera, y up",
    "state": "0 not tracked, 1 guessed, 2 tracked; read as confidence 0, 0.5, 1, kept as it is",
}
_JOINTS: Final = 25
_CELLS: Final = 1 + 4 * _JOINTS
_TICK_S: Final = 1e-7
_STATES: Final = {"0", "1", "2"}


def _fits(sample: Sample) -> bool:
    cells = sample.head_lines[0].rstrip(",").split(",") if sample.head_lines else []
    return (
        len(cells) == _CELLS
        and {cell.strip() for cell in cells[4::4]} <= _STATES
        and cells[0].strip().isdecimal()
    )


def _read(sample: Sample) -> Motion:
    grid = Grid.read(sample, 0, range(_CELLS), ",")
    ticks, values = grid.values_RC[:, 0], grid.values_RC[:, 1:].reshape(-1, _JOINTS, 4)
    bad = np.isnan(ticks) | (np.diff(ticks, prepend=-np.inf) < 0)
    if bad.any():
        line = grid.line_of(int(bad.argmax()))
        raise DataError(
            f"{sample.path}, line {line}: no time, or one before that of the line above"
        )
    poses, state = values[..., :3].copy(), values[..., 3]
    poses[~(state > 0)] = np.nan
    times = (ticks - ticks[0]) * _TICK_S
    return Motion(
        poses_FPJD=poses[:, None],
        confidence_FPJ=state[:, None] / 2,
        joints=joint_sets()["kinect25"].joints,
        skeleton="kinect25",
        fps=rate_of(times),
        times_F=times,
        unit="m",
        up="+y",
        entries_FP=np.arange(len(times))[:, None],
        rest=grid,
        source=sample.path,
    )


def _write(motion: Motion) -> Written:
    grid, entries = motion.rest, motion.entries_FP
    if not isinstance(grid, Grid) or entries is None or (entries < 0).any():
        raise DataError("kinect is written only over such a file; write .csv instead")
    rows = entries[:, 0]
    values = grid.values_RC[rows].copy()
    old = values[:, 1:].reshape(len(rows), _JOINTS, 4)
    poses, seen = motion.poses_FPJD[:, 0], motion.seen_FPJ[:, 0]
    was = old[..., 3] > 0
    # What is filled in was guessed; what is taken out was not tracked.
    old[..., 3] = np.where(seen & ~was, 1.0, np.where(~seen & was, 0.0, old[..., 3]))
    old[..., :3] = np.where((seen | was)[..., None], np.nan_to_num(poses), old[..., :3])
    return grid.rewritten(rows, values)


FORMATS: Final = (
    Format(
        name="kinect",
        about="Kinect v2 joints, CSV without a header; written back only",
        endings=(".csv",),
        fields=_FIELDS,
        fits=_fits,
        read=_read,
        write=_write,
        dims=(3,),
        holds=frozenset({"confidence", "rate", "times"}),
        only_over=("kinect",),
    ),
)
