"""DeepLabCut's CSV and HDF5, which Lightning Pose writes, too: any animal."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from poise.motion.format import Format, Sample, Written
from poise.motion.motion import DIMENSIONS, Motion
from poise.motion.names import checked_names, known_joints, plain_cell
from poise.motion.tables.hdf5 import changed, dataset, is_hdf5, opened, unpickled
from poise.motion.tables.tracks import Tracks, has_room
from poise.motion.text.grid import Grid, number_text, split_cells, unquoted
from poise.motion.text.triples import frame_numbers
from poise.runtime.errors import DataError

_FIELDS: Final = {
    "scorer": "name of the network",
    "individuals": "who it is, where there are several",
    "bodyparts": "name of the joint",
    "coords": "x, y (z), and likelihood, from 0 to 1",
    "first column": "number of the frame, or path of its image",
}
_LEVELS: Final = ("scorer", "individuals", "bodyparts", "coords")
_TABLE: Final = "table"
_BLOCK: Final = "values_block_"


@dataclass(frozen=True)
class _CsvRest:
    grid: Grid
    tracks: Tracks


@dataclass(frozen=True)
class _H5Rest:
    path: Path
    group: str
    tracks: Tracks
    values_FC: NDArray[Any]


def _header(sample: Sample) -> list[list[str]] | None:
    """Return the rows of names of a CSV, or None where it has none."""
    rows = []
    for line in sample.head_lines[: len(_LEVELS)]:
        cells = [unquoted(cell) for cell in split_cells(line, ",")]
        if cells[0].lower() not in _LEVELS:
            break
        rows.append(cells)
    names = [row[0].lower() for row in rows]
    return rows if "bodyparts" in names and names[-1:] == ["coords"] else None


def _fits_csv(sample: Sample) -> bool:
    return _header(sample) is not None


def _read_csv(sample: Sample) -> Motion:
    rows = _header(sample)
    if rows is None:
        raise DataError(f"{sample.path}: no rows scorer, bodyparts, coords above its numbers")
    # Frames of images have their path in one to three columns without a name of their own.
    first = next((at for at, cell in enumerate(rows[-1][1:], 1) if cell), 1)
    width = len(rows[-1])
    if any(len(row) != width for row in rows):
        raise DataError(f"{sample.path}: its rows of names are not equally long; export it again")
    named = {row[0].lower(): row for row in rows}
    people = named.get("individuals", [""] * width)
    labels = [
        (people[at], named["bodyparts"][at], named["coords"][at]) for at in range(first, width)
    ]
    tracks = Tracks.of(labels)
    if not tracks.joints:
        raise DataError(f"{sample.path}, line {len(rows)}: no coordinate is called x")
    grid = Grid.read(sample, len(rows), (tracks.used + first).tolist(), ",")
    index = [unquoted(split_cells(line, ",")[first - 1]) for line in grid.lines]
    table = np.full((len(grid.lines), len(labels)), np.nan)
    table[:, tracks.used] = grid.values_RC
    return _motion(sample.path, tracks, table, frame_numbers(index), _CsvRest(grid, tracks))


def _motion(
    path: Path, tracks: Tracks, table: NDArray[Any], numbers: NDArray[np.int64], rest: Any
) -> Motion:
    poses, confidence = tracks.poses(table)
    names, skeleton = known_joints(checked_names(path, tracks.joints))
    return Motion(
        poses_FPJD=poses,
        confidence_FPJ=confidence,
        joints=names,
        people=tuple(name or "0" for name in tracks.people),
        frames_F=numbers,
        skeleton=skeleton,
        unit="px" if tracks.dims == 2 else None,
        up="-y" if tracks.dims == 2 else None,
        entries_FP=np.repeat(np.arange(len(table))[:, None], len(tracks.people), 1),
        rest=rest,
        source=path,
    )


def _write_csv(motion: Motion) -> Written:
    rest = motion.rest
    entries = motion.entries_FP
    if isinstance(rest, _CsvRest) and entries is not None and has_room(motion, rest.tracks.people):
        rows = entries.max(1)
        if (rows >= 0).all():
            old = np.full((len(rows), int(rest.tracks.used.max()) + 1), np.nan)
            old[:, rest.tracks.used] = rest.grid.values_RC[rows]
            return rest.grid.rewritten(rows, rest.tracks.values(motion, old))
    return _new_csv(motion)


def _new_csv(motion: Motion) -> bytes:
    frames, people, joints, dims = motion.poses_FPJD.shape
    kinds = [*DIMENSIONS[:dims], "likelihood"]
    count = people * joints
    several = people > 1
    parts = [plain_cell(name) for name in motion.joints]
    header = [["scorer", *(["poise"] * (count * len(kinds)))]]
    if several:
        who = [plain_cell(name) for name in motion.people for _ in range(joints * len(kinds))]
        header.append(["individuals", *who])
    header.append(["bodyparts", *([name for name in parts for _ in kinds] * people)])
    header.append(["coords", *(kinds * count)])
    sure = motion.confidence_FPJ
    if sure is None:
        sure = np.where(motion.seen_FPJ, 1.0, np.nan)
    values = np.concatenate([motion.poses_FPJD, sure[..., None]], -1).reshape(frames, -1)
    lines = [",".join(row) for row in header]
    for number, row in zip(motion.frames_F.tolist(), values.tolist(), strict=True):
        lines.append(",".join([str(number), *(number_text(value, 6) for value in row)]))
    return ("\n".join(lines) + "\n").encode()


def _h5_group(file: Any) -> str:
    """Return the group that pandas put the table into."""
    return next((name for name in file if _TABLE in getattr(file[name], "keys", dict)()), "")


def _fits_h5(sample: Sample) -> bool:
    if not is_hdf5(sample):
        return False
    with opened(sample.path) as file:
        group = _h5_group(file)
        return bool(group) and "non_index_axes" in file[group].attrs


def _read_h5(sample: Sample) -> Motion:
    path = sample.path
    with opened(path) as file:
        group = _h5_group(file)
        if not group:
            raise DataError(f"{path}: no table of pandas; export it as CSV")
        axes = unpickled(path, file[group].attrs["non_index_axes"])
        labels = _labels(path, axes)
        table = dataset(path, file, f"{group}/{_TABLE}")
        rows = table[()]
        blocks = [name for name in rows.dtype.names or () if name.startswith(_BLOCK)]
        if len(blocks) != 1 or rows[blocks[0]].shape[1:] != (len(labels),):
            raise DataError(f"{path}: a table in {len(blocks)} blocks; export it as CSV")
        values = np.asarray(rows[blocks[0]])
        if values.dtype not in (np.float32, np.float64):
            values = values.astype(np.float64)
        index = rows["index"] if "index" in rows.dtype.names else np.arange(len(rows))
    names = [
        one.decode(errors="replace") if isinstance(one, bytes) else str(one)
        for one in index.tolist()
    ]
    tracks = Tracks.of(labels)
    if not len(values) or not tracks.joints:
        raise DataError(f"{path}: no frames, or no coordinate called x")
    numbers = frame_numbers(names)
    return _motion(path, tracks, values, numbers, _H5Rest(path, group, tracks, values))


def _labels(path: Path, axes: Any) -> list[tuple[str, str, str]]:
    """Return person, joint and coordinate of each column, from pandas' own names."""
    try:
        columns: Sequence[Any] = axes[0][1]
        found = [tuple(map(str, one)) for one in columns]
    except (TypeError, IndexError, KeyError):
        found = []
    if not found or {len(one) for one in found} not in ({3}, {4}, {2}):
        raise DataError(f"{path}: its columns are no (scorer, bodypart, coordinate); export a CSV")
    return [(one[-3] if len(one) == 4 else "", one[-2], one[-1]) for one in found]


def _write_h5(motion: Motion) -> Written:
    rest = motion.rest
    if not isinstance(rest, _H5Rest) or motion.entries_FP is None:
        raise DataError(
            "deeplabcut-h5 is written only over a file that DeepLabCut made; write "
            "deeplabcut's .csv instead"
        )
    if not np.array_equal(motion.entries_FP.max(1, initial=-1), np.arange(len(rest.values_FC))):
        raise DataError(
            f"{rest.path}: has {len(rest.values_FC)} frames, not {len(motion)}; write .csv"
        )
    values = rest.values_FC.copy()
    values[:, rest.tracks.used] = rest.tracks.values(motion, rest.values_FC)
    with changed(rest.path) as (file, memory):
        table = file[f"{rest.group}/{_TABLE}"]
        rows = table[()]
        block = next(name for name in rows.dtype.names if name.startswith(_BLOCK))
        rows[block] = values
        table[...] = rows
    return memory.getvalue()


_HOLDS: Final = frozenset({"people", "identity", "confidence", "names"})
FORMATS: Final = (
    Format(
        name="deeplabcut",
        about="DeepLabCut and Lightning Pose, CSV; any animal",
        endings=(".csv",),
        fields=_FIELDS,
        fits=_fits_csv,
        read=_read_csv,
        write=_write_csv,
        holds=_HOLDS,
    ),
    Format(
        name="deeplabcut-h5",
        about="DeepLabCut, HDF5; written only in place of one it made",
        endings=(".h5", ".hdf5"),
        fields=_FIELDS,
        fits=_fits_h5,
        read=_read_h5,
        write=_write_h5,
        holds=_HOLDS,
        only_over=("deeplabcut-h5",),
    ),
)
