"""C3D takes: markers on the skin, turned into joints by a map the user gives."""

import tomllib
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from poise.mocap.clip import JOINTS
from poise.mocap.formats.amass import z_up_to_y_up
from poise.mocap.joints import JointMap, pick
from poise.runtime.errors import DataError

Floats = NDArray[np.float64]

_METRES: Final = {"m": 1.0, "cm": 0.01, "mm": 0.001}


@dataclass(frozen=True)
class MarkerMap:
    """How markers become joints.

    Attributes:
        up: axis that points up in the files.
        longest_gap: frames a needed marker may be unseen and is interpolated.
        joints: for each of the 17 joints the markers whose mean it is.
    """

    up: str
    longest_gap: int
    joints: JointMap

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
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: {error}") from None
    unknown = sorted(set(given) - {"up", "longest_gap", "joints"})
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
    wrong += [joint for joint in JOINTS if not _are_markers(joints.get(joint))]
    if wrong:
        raise DataError(
            f"{path}: joint {wrong[0]} is unknown or lacks markers; the 17 are {', '.join(JOINTS)}"
        )
    return MarkerMap(given["up"], gap, {joint: tuple(names) for joint, names in joints.items()})


def _full(joint: str) -> str:
    """Return a joint's full name; Human3.6M's own short ones (hip, rhip, lwrist) are read, too."""
    side = {"l": "left_", "r": "right_"}.get(joint[:1], "")
    if side and side + joint[1:] in JOINTS:
        return side + joint[1:]
    return "pelvis" if joint == "hip" else joint


def _are_markers(given: Any) -> bool:
    return isinstance(given, list) and bool(given) and all(isinstance(n, str) for n in given)


def read_c3d(path: Path, markers: MarkerMap) -> tuple[float, Floats]:
    """Return frames a second and the 17 joints in metres, y up, (F, 17, 3).

    The take is cut to the frames between the first and the last that show every needed marker.
    Gaps within are interpolated up to ``markers.longest_gap`` frames.

    Raises:
        DataError: not a whole C3D file, markers are missing, a gap is longer, or the package that
            reads C3D is not installed.
    """
    rate, unit, labels, points_FP3 = _stored(path)
    columns = [_column(path, labels, marker) for marker in markers.markers]
    needed_FM3 = _without_gaps(path, points_FP3[:, columns], markers)
    joints_FJ3 = pick(needed_FM3, markers.markers, markers.joints) * _METRES[unit]
    return rate, joints_FJ3 if markers.up == "y" else z_up_to_y_up(joints_FJ3)


def _stored(path: Path) -> tuple[float, str, list[str], Floats]:
    try:
        import c3d
    except ImportError:
        raise DataError(
            f"{path}: C3D files are read through the package c3d; pip install 'poise[mocap]'"
        ) from None
    try:
        with path.open("rb") as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of takes without force plates
            reader = c3d.Reader(stream)
            unit = reader.get_string("POINT:UNITS").strip().lower()
            rate, declared = float(reader.point_rate), int(reader.frame_count)
            labels = _labels(reader)
            frames = [points[:, :4] for _, points, _ in reader.read_frames()]
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except Exception as error:  # the package asserts, unpacks and indexes what the file tells
        raise DataError(f"{path}: not a whole C3D file ({type(error).__name__})") from None
    if not frames or len(frames) != declared:
        raise DataError(f"{path}: {len(frames)} of {declared} frames are there; it is cut short")
    if unit not in _METRES or rate <= 0:
        raise DataError(f"{path}: unit {unit!r} at {rate:g} frames a second; units are m, cm, mm")
    points_FP4 = np.stack(frames).astype(np.float64)
    points_FP3, residuals_FP = points_FP4[..., :3], points_FP4[..., 3]
    unseen_FP = (residuals_FP < 0) | ~np.isfinite(points_FP3).all(-1) | ~points_FP3.any(-1)
    return rate, unit, labels, np.where(unseen_FP[..., None], np.nan, points_FP3)


def _labels(reader: Any) -> list[str]:
    # A parameter holds 255 labels at most; further ones are in LABELS2, LABELS3, ...
    found: list[str] = []
    for number in ("", *range(2, 100)):
        parameter = reader.get(f"POINT:LABELS{number}")
        if parameter is None:
            break
        found.extend(str(label).strip() for label in parameter.string_array)
    return found


def _column(path: Path, labels: list[str], marker: str) -> int:
    places = [n for n, label in enumerate(labels) if marker in (label, label.rpartition(":")[2])]
    if len(places) != 1:
        raise DataError(
            f"{path}: {len(places)} markers are called {marker}; there are {', '.join(labels)}"
        )
    return places[0]


def _without_gaps(path: Path, points_FM3: Floats, markers: MarkerMap) -> Floats:
    unseen_FM = np.isnan(points_FM3).max(axis=-1)
    whole = np.flatnonzero(~unseen_FM.any(axis=1))
    if not len(whole):
        worst = markers.markers[int(unseen_FM.sum(axis=0).argmax())]
        raise DataError(f"{path}: no frame shows all needed markers; {worst} is missing most often")
    first, last = int(whole[0]), int(whole[-1])
    points_FM3, unseen_FM = points_FM3[first : last + 1], unseen_FM[first : last + 1]
    frames = np.arange(len(points_FM3))
    for place in np.flatnonzero(unseen_FM.any(axis=0)):
        seen = np.flatnonzero(~unseen_FM[:, place])
        gaps = np.diff(seen) - 1
        if gaps.max() > markers.longest_gap:
            start = first + int(seen[gaps.argmax()]) + 1
            raise DataError(
                f"{path}: marker {markers.markers[place]} is unseen for {gaps.max()} frames from "
                f"frame {start}; longest_gap allows {markers.longest_gap}"
            )
        for axis in range(3):
            points_FM3[:, place, axis] = np.interp(frames, seen, points_FM3[seen, place, axis])
    return points_FM3
