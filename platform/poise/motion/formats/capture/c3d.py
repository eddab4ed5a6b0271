"""C3D: marker positions of motion capture."""

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from poise.motion.format import Format, Sample, Written
from poise.motion.motion import Motion
from poise.motion.names import checked_names, known_joints
from poise.motion.rates import tidy_rate
from poise.motion.tables.tracks import has_room, person_places
from poise.motion.units import Unit
from poise.runtime.errors import DataError
from poise.runtime.text.files import read_file

if TYPE_CHECKING:
    from poise.mocap.formats.c3d import C3dTake

_FIELDS: Final = {
    "POINT:LABELS": "names of the points; SUBJECT:POINT where there are several people",
    "POINT:RATE": "frames a second",
    "POINT:UNITS": "mm, m, cm; others are kept and not understood",
    "points": "x, y, z, and a residual, which is below 0 where the point was not seen",
    "analog values, events, all other parameters": "kept as they are",
}
_UNITS: Final[dict[float, Unit]] = {1.0: "m", 0.01: "cm", 0.001: "mm"}
_MARK: Final = b"\x50"
#: Of a computed point: no camera's residual.
_SEEN: Final = 0.0
#: What passes to and from what makes a new file.
_GIVEN: Final = "given.npz"
_MADE: Final = "new.c3d"


@dataclass(frozen=True)
class _Rest:
    """The file, and which of its points each person's joints are."""

    path: Path
    people: tuple[str, ...]
    points_PJ: NDArray[np.int64]
    shape: tuple[int, ...]


def _fits(sample: Sample) -> bool:
    return sample.head[1:2] == _MARK and 2 <= (sample.head[0] if sample.head else 0) < 128


def _read(sample: Sample) -> Motion:
    path = sample.path
    take, unit = _take(path)
    if not len(take.points_FP3):
        raise DataError(f"{path}: no frames")
    count = take.points_FP3.shape[1]
    labels = [label or f"point_{at + 1}" for at, label in enumerate(take.labels[:count])]
    labels += [f"point_{at + 1}" for at in range(len(labels), count)]
    people, joints, points_PJ = _people(checked_names(path, labels, "point"))
    poses = np.where(
        points_PJ[None, ..., None] >= 0, take.points_FP3[:, points_PJ], np.float64(np.nan)
    )
    names, skeleton = known_joints(joints)
    frames, first = len(poses), take.first_frame
    fps = tidy_rate(take.fps) if np.isfinite(take.fps) and take.fps > 0 else None
    return Motion(
        poses_FPJD=poses,
        joints=names,
        people=people,
        fps=fps,
        times_F=np.arange(first, first + frames) / (fps or 1.0),
        frames_F=np.arange(first, first + frames),
        skeleton=skeleton,
        unit=unit,
        entries_FP=np.repeat(np.arange(frames)[:, None], len(people), 1),
        rest=_Rest(path, people, points_PJ, take.points_FP3.shape),
        source=path,
    )


def _take(path: Path) -> "tuple[C3dTake, Unit | None]":
    from poise.mocap.formats.c3d import read_c3d  # the catalogue takes half a second to import

    try:
        take = read_c3d(path)
    except DataError as error:
        if "POINT:UNITS" not in str(error):
            raise
        return read_c3d(path, "m"), None  # in its own unit, whatever that is
    return take, _UNITS.get(take.metres)


def _people(labels: tuple[str, ...]) -> tuple[tuple[str, ...], list[str], NDArray[np.int64]]:
    """Tell people apart by what stands before the colon of their points, if all have one."""
    parts = [label.partition(":") for label in labels]
    if not all(colon and name for _, colon, name in parts):
        return ("0",), list(labels), np.arange(len(labels))[None]
    people = tuple(dict.fromkeys(person for person, _, _ in parts))
    joints = list(dict.fromkeys(name for _, _, name in parts))
    if len(people) * len(joints) > 4 * len(labels):  # other things than people
        return ("0",), list(labels), np.arange(len(labels))[None]
    points = np.full((len(people), len(joints)), -1)
    for at, (person, _, name) in enumerate(parts):
        points[people.index(person), joints.index(name)] = at
    return people, joints, points


def _write(motion: Motion) -> Written:
    from poise.mocap.formats.c3d import read_c3d, with_points

    rest = motion.rest
    kept = isinstance(rest, _Rest) and has_room(motion, rest.people)
    if kept and len(motion) == rest.shape[0]:
        points = read_c3d(rest.path, "m").points_FP3
        there = rest.points_PJ >= 0
        poses = motion.poses_FPJD[:, person_places(motion, rest.people)]
        points[:, rest.points_PJ[there]] = poses[:, there]
        return with_points(read_file(rest.path), points)
    return _new(motion)


def _new(motion: Motion) -> bytes:
    if motion.fps is None:
        raise DataError(f"{motion.source}: says no frame rate, and C3D needs one: give --fps")
    frames, people, joints, _ = motion.poses_FPJD.shape
    poses = motion.poses_FPJD.reshape(frames, people * joints, 3)
    values = np.ones((4, people * joints, frames))
    values[:3] = np.nan_to_num(poses).transpose(2, 1, 0)
    several = people > 1
    labels = [
        f"{_label(person)}:{_label(joint)}" if several else _label(joint)
        for person in motion.people
        for joint in motion.joints
    ]
    with tempfile.TemporaryDirectory() as folder:  # the library writes to a path alone
        np.savez(
            Path(folder) / _GIVEN,
            points=values,
            residuals=np.where(np.isnan(poses).any(-1).T, -1.0, _SEEN)[None],
            labels=np.array(labels),
            rate=motion.fps,
            unit=np.array(motion.unit or "m"),
            first=max(int(motion.frames_F[0]) - 1, 0),
        )
        if "faiss" in sys.modules:
            # Both are made by SWIG, and ezc3d takes faiss's vectors for its own where it comes
            # second, and then refuses them. It has a process of its own then.
            call = f"from {__name__} import make_file; make_file({folder!r})"
            paths = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
            subprocess.run([sys.executable, "-c", call], env=paths, check=True)
        else:
            make_file(folder)
        return (Path(folder) / _MADE).read_bytes()


def make_file(folder: str) -> None:
    """Make a C3D file of the arrays that `_new` left in a folder."""
    import ezc3d

    given = np.load(Path(folder) / _GIVEN, allow_pickle=False)
    file = ezc3d.c3d()
    file["header"]["points"]["first_frame"] = int(given["first"])
    point = file["parameters"]["POINT"]
    point["RATE"]["value"] = [float(given["rate"])]
    point["UNITS"]["value"] = [str(given["unit"])]
    point["LABELS"]["value"] = given["labels"].tolist()
    file["data"]["points"] = given["points"]
    file["data"]["meta_points"] = {
        "residuals": given["residuals"],
        "camera_masks": np.zeros((7, *given["points"].shape[1:]), bool),
    }
    file.write(str(Path(folder) / _MADE))


def _label(name: str) -> str:
    return re.sub(r"[^\x20-\x7e]|:", "_", name)


FORMATS: Final = (
    Format(
        name="c3d",
        about="C3D: markers of Vicon, Qualisys, OptiTrack and others",
        endings=(".c3d",),
        fields=_FIELDS,
        fits=_fits,
        read=_read,
        write=_write,
        dims=(3,),
        holds=frozenset({"people", "identity", "names", "rate", "unit"}),
    ),
)
