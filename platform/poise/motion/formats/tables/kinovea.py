"""Kinovea's text export: trajectories of points, one after the other; read only."""

import re
from typing import Final

import numpy as np

from poise.catalog.joint_sets import of_names
from poise.motion.format import Format, Sample
from poise.motion.motion import Motion
from poise.motion.names import checked_names
from poise.motion.rates import rate_of
from poise.runtime.errors import DataError
from poise.runtime.printable import printable

_FIELDS: Final = {
    "#Kinovea Trajectory data export": "the first line; Kinovea's CSV is csv-wide",
    "# NAME": "above each trajectory, the name of its point; older files separate them by empty "
    "lines, and points are counted",
    "T": "time: hours, minutes, seconds and hundredths (0:00:00:04), or a number of seconds or "
    "milliseconds",
    "X Y": "in pixels, or as the video was calibrated; decimal commas, too",
}
_MARK: Final = "#kinovea trajectory"
_CLOCK: Final = re.compile(r"(-?)(\d{1,4}):(\d{1,2}):(\d{1,2})[:.,](\d{1,3})")
_COLUMNS: Final = ("t", "x", "y")
#: A longer step between frames is one of milliseconds.
_LONGEST_STEP_S: Final = 2.0


def _fits(sample: Sample) -> bool:
    first = next((line for line in sample.head_lines if line.strip()), "")
    return first.strip().lower().startswith(_MARK)


def _seconds(cell: str) -> float:
    """Return a time; raise `ValueError` where it is none."""
    clock = _CLOCK.fullmatch(cell)
    if clock is None:
        return float(cell.replace(",", "."))
    sign, hours, minutes, seconds, rest = clock.groups()
    whole = 3600 * int(hours) + 60 * int(minutes) + int(seconds) + int(rest) / 10 ** len(rest)
    return float(-whole if sign else whole)


def _tracks(sample: Sample) -> list[tuple[str, list[tuple[float, float, float]]]]:
    """Return each trajectory's name, and its rows of time, x, y."""
    found: list[tuple[str, list[tuple[float, float, float]]]] = []
    name, open_track = "", False
    for number, line in enumerate(sample.text.split("\n"), start=1):
        words = line.split()
        if not words:
            open_track = False
        elif line.lstrip().startswith("#"):
            told = line.lstrip().lstrip("#").strip()
            if tuple(told.lower().split()) != _COLUMNS and not told.lower().startswith("kinovea"):
                name, open_track = told, False
        else:
            try:
                row = (_seconds(words[0]), *(float(one.replace(",", ".")) for one in words[1:3]))
                time, x, y = row
            except ValueError:
                raise DataError(
                    f"{sample.path}, line {number}: {printable(line[:40])!r} is no time, x and y; "
                    "correct or take out the line"
                ) from None
            if not np.isfinite(row).all():
                raise DataError(f"{sample.path}, line {number}: an infinite number")
            if not open_track:
                found.append((name or f"point_{len(found) + 1}", []))
                name, open_track = "", True
            found[-1][1].append((time, x, y))
    return found


def _read(sample: Sample) -> Motion:
    path, tracks = sample.path, _tracks(sample)
    if not tracks:
        raise DataError(f"{path}: no trajectories below its header; export it again")
    names = checked_names(path, [name for name, _ in tracks])
    times, owners = np.unique(
        np.concatenate([[time for time, _, _ in rows] for _, rows in tracks]), return_inverse=True
    )
    poses = np.full((len(times), 1, len(tracks), 2), np.nan)
    first = 0
    for joint, (_, rows) in enumerate(tracks):
        poses[owners[first : first + len(rows)], 0, joint] = [(x, y) for _, x, y in rows]
        first += len(rows)
    if len(times) > 1 and float(np.median(np.diff(times))) > _LONGEST_STEP_S:
        times = times * 1e-3
    fps = rate_of(times)
    known = of_names(names)
    return Motion(
        poses_FPJD=poses,
        joints=names,
        fps=fps,
        times_F=times - times[0] if fps else None,  # type: ignore[arg-type]
        skeleton=known.name if known else None,
        source=path,
    )


FORMATS: Final = (
    Format(
        name="kinovea",
        about="Kinovea: trajectories as text",
        endings=(".txt",),
        fields=_FIELDS,
        fits=_fits,
        read=_read,
        dims=(2,),
        holds=frozenset({"names", "rate", "times"}),
    ),
)
