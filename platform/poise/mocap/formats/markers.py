"""Markers on the skin, turned into joints by a map the user gives."""

import re
import tomllib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poise.catalog.dataset_file import METRES
from poise.mocap.clip import JOINTS
from poise.mocap.formats.amass import z_up_to_y_up
from poise.mocap.formats.c3d import C3dTake
from poise.mocap.joints import NEEDED, JointMap, enough, pick
from poise.runtime.errors import DataError
from poise.runtime.text.files import read_text

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class MarkerMap:
    """How markers become joints.

    Attributes:
        up: axis that points up in the files.
        longest_gap: frames over which an unseen marker is interpolated; then it is missing.
        joints: for each of the 17 joints, the markers whose mean it is; none where files lack it.
        unit: of the files, where they do not say; empty: theirs.
    """

    up: str
    longest_gap: int
    joints: JointMap
    unit: str = ""

    @property
    def markers(self) -> list[str]:
        """The markers that are needed."""
        return sorted({marker for markers in self.joints.values() for marker in markers})


def read_marker_map(path: Path) -> MarkerMap:
    """Read a TOML file with ``up``, ``longest_gap`` and a table ``[joints]`` of marker lists.

    Raises:
        DataError: not such a file; names the key.
    """
    try:
        given = tomllib.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: {error}") from None
    unknown = sorted(set(given) - {"up", "longest_gap", "joints", "unit"})
    unit = given.get("unit", "")
    if unit and unit not in tuple(METRES):
        raise DataError(f"{path}: unit is {unit!r}, expected one of {', '.join(METRES)}")
    gap = given.get("longest_gap", 10)
    if unknown or given.get("up") not in ("y", "z") or not isinstance(gap, int) or gap < 0:
        raise DataError(
            f"{path}: expected up = 'y' or 'z', longest_gap = frames, and [joints]"
            + (f"; {unknown[0]} is not known" if unknown else "")
        )
    joints = given.get("joints")
    joints = (
        {_full(joint): names for joint, names in joints.items()} if isinstance(joints, dict) else {}
    )
    wrong = [joint for joint in joints if joint not in JOINTS]
    wrong += [joint for joint in JOINTS if not _are_markers(joint, joints.get(joint))]
    if wrong:
        raise DataError(
            f"{path}: joint {wrong[0]} is unknown or lacks markers; the 17 are {', '.join(JOINTS)}"
        )
    by_joint = {joint: tuple(names) for joint, names in joints.items()}
    return MarkerMap(given["up"], gap, by_joint, unit)


def _full(joint: str) -> str:
    """Return a joint's full name; Human3.6M's own short ones (hip, rhip, lwrist) are read, too."""
    side = {"l": "left_", "r": "right_"}.get(joint[:1], "")
    if side and side + joint[1:] in JOINTS:
        return side + joint[1:]
    return "pelvis" if joint == "hip" else joint


def _are_markers(joint: str, given: Any) -> bool:
    listed = isinstance(given, list) and all(isinstance(name, str) for name in given)
    return listed and (bool(given) or joint not in NEEDED)


def joints_of(path: Path, take: C3dTake, markers: MarkerMap) -> Floats:
    """Return the 17 joints of a take in metres, y up, (F, 17, 3).

    A joint is NaN where one of its markers is not in the file or not seen. Where that keeps half of
    it, the take is cut to the frames between the first and the last that show every marker of the
    map. Gaps within are interpolated up to ``markers.longest_gap`` frames.

    Args:
        path: its file, for messages.
        take: what `c3d.read_c3d` read.
        markers: which markers make which joint.

    Raises:
        DataError: too many joints have no markers (`pick`).
    """
    found = {marker: _column(path, take, marker) for marker in markers.markers}
    columns = {marker: column for marker, column in found.items() if column is not None}
    absent = set(found) - set(columns)
    there = {joint: names for joint, names in markers.joints.items() if not absent & set(names)}
    needed = sorted({name for names in there.values() for name in names})
    if not enough([joint for joint, names in there.items() if names]):
        raise DataError(
            f"{path}: no markers are called {', '.join(sorted(absent))}, or none of them is seen; "
            f"there are {', '.join(take.labels)}"
        )
    needed_FM3 = take.points_FP3[:, [columns[name] for name in needed]]
    needed_FM3 = _filled(needed_FM3, markers.longest_gap)
    joints_FJ3 = pick(needed_FM3, needed, there) * take.metres
    return joints_FJ3 if markers.up == "y" else z_up_to_y_up(joints_FJ3)


def _column(path: Path, take: C3dTake, marker: str) -> int | None:
    """Find a marker by its whole label, behind ``Anna:``, in any case, behind ``Anna_``."""
    labels = take.labels[: take.points_FP3.shape[1]]
    behind, folded = _behind_subject(marker), _folded(marker)
    for spelling, wanted in (
        (str, marker),
        (_behind_subject, behind),
        (_folded, folded),
        (_behind_first, folded),
    ):
        places = [n for n, label in enumerate(labels) if spelling(label) == wanted]
        if len(places) > 1:
            raise DataError(
                f"{path}: {len(places)} markers are called {marker}; there are "
                f"{', '.join(take.labels)}"
            )
        if places:
            seen = not np.isnan(take.points_FP3[:, places[0]]).all()
            return places[0] if seen else None
    return None


def _behind_subject(label: str) -> str:
    return label.rpartition(":")[2]


def _folded(label: str) -> str:
    return "".join(_behind_subject(label).split()).casefold()


def _behind_first(label: str) -> str:
    return re.sub(r"^[^_.|-]+[_.|-]", "", _folded(label))


def _filled(points_FM3: Floats, longest_gap: int) -> Floats:
    unseen_FM = np.isnan(points_FM3).max(axis=-1)
    whole = np.flatnonzero(~unseen_FM.any(axis=1))
    # A marker that is seen at times only shortens no take; its joint is missing.
    if len(whole) and 2 * (whole[-1] + 1 - whole[0]) >= len(points_FM3):
        kept = slice(int(whole[0]), int(whole[-1]) + 1)
        points_FM3, unseen_FM = points_FM3[kept], unseen_FM[kept]
    for place in np.flatnonzero(unseen_FM.any(axis=0)).tolist():
        seen = np.flatnonzero(~unseen_FM[:, place])
        for before, after in pairwise(seen.tolist()):
            gap = np.arange(before + 1, after)
            if 0 < len(gap) <= longest_gap:
                for axis in range(3):
                    ends = points_FM3[[before, after], place, axis]
                    points_FM3[gap, place, axis] = np.interp(gap, [before, after], ends)
    return points_FM3
