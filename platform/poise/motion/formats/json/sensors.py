"""Bodies of Kinect Azure and ZED, as their makers' samples save them; read only."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from poise.catalog.joint_sets import joint_sets, of_names
from poise.motion.format import Format, Sample
from poise.motion.motion import Motion
from poise.motion.names import checked_names
from poise.motion.people import Entries
from poise.motion.rates import rate_of
from poise.motion.text.instances import in_number_order
from poise.motion.text.triples import identity, numbers_of
from poise.runtime.errors import DataError

_AZURE_FIELDS: Final = {
    "joint_names": "of the 32 joints; those of the SDK where they are left out",
    "frames": "each with its frame_id and timestamp_usec, microseconds",
    "bodies": "everybody in the frame: body_id, and joint_positions, [x, y, z] of each joint in "
    "millimetres from the depth camera, y down",
    "joint_orientations": "not read",
}
_ZED_FIELDS: Final = {
    "each key": "a frame's time in milliseconds, with what was seen then; or a list of such",
    "body_list": "everybody in the frame: id, keypoint, [x, y, z] of each joint as the camera was "
    "set to measure, and keypoint_confidence, from 0 to 100",
    "number of joints": "18, 34 or 38, ZED's three body formats",
}
_SETS: Final = {18: "coco18", 32: "azure32", 34: "zed34", 38: "zed38"}
_DIMS: Final = 3
_LATEST: Final = 1e20
_PER_CENT: Final = 100.0


def _azure_frames(document: Any) -> list[Any]:
    frames = document.get("frames") if isinstance(document, dict) else None
    return frames if isinstance(frames, list) else []


def _zed_frames(document: Any) -> list[tuple[Any, dict[str, Any]]]:
    """Return frames with what they stand under; none of another file."""
    if isinstance(document, list):
        pairs: list[tuple[Any, Any]] = [(None, one) for one in document]
    else:
        pairs = list(document.items()) if isinstance(document, dict) else []
    return [(key, one) for key, one in pairs if isinstance(one, dict) and "body_list" in one]


def _bodies(frame: Any, key: str) -> list[Any]:
    found = frame.get(key) if isinstance(frame, dict) else None
    return found if isinstance(found, list) else []


def _fits_azure(sample: Sample) -> bool:
    return any(
        isinstance(body, dict) and "joint_positions" in body
        for frame in _azure_frames(sample.document)
        for body in _bodies(frame, "bodies")
    )


def _fits_zed(sample: Sample) -> bool:
    return bool(_zed_frames(sample.document))


def _read_azure(sample: Sample) -> Motion:
    frames = _azure_frames(sample.document)
    told = sample.document.get("joint_names") if isinstance(sample.document, dict) else None
    names = told if isinstance(told, list) and all(isinstance(one, str) for one in told) else []
    return _motion(
        sample.path,
        [_bodies(frame, "bodies") for frame in frames],
        [frame.get("frame_id") if isinstance(frame, dict) else None for frame in frames],
        [frame.get("timestamp_usec") if isinstance(frame, dict) else None for frame in frames],
        ("body_id", "joint_positions", ""),
        scale=1e-6,
        names=names,
        unit="mm",
        up="-y",
    )


def _read_zed(sample: Sample) -> Motion:
    pairs = _zed_frames(sample.document)
    times = [_time(key, frame) for key, frame in pairs]
    lists = [_bodies(frame, "body_list") for _, frame in pairs]
    keys = ("id", "keypoint", "keypoint_confidence")
    return _motion(sample.path, lists, [None] * len(pairs), times, keys, scale=1e-3)


def _time(key: Any, frame: Mapping[str, Any]) -> float | None:
    """Return a frame's time in milliseconds: what it stands under, else its own."""
    told = key if isinstance(key, str) and key.isdecimal() and len(key) < 20 else None
    value = float(told) if told else frame.get("timestamp")
    return value if isinstance(value, int | float) else None


def _motion(
    path: Path,
    lists: Sequence[list[Any]],
    numbers: Sequence[Any],
    times: Sequence[Any],
    keys: tuple[str, str, str],
    scale: float,
    names: Sequence[str] = (),
    **more: Any,
) -> Motion:
    """Make a motion of bodies; `keys` are those of ids, coordinates and confidences."""
    order, numbers_F = in_number_order(path, numbers)
    id_key, points_key, sure_key = keys
    owners, ids = [], []
    points: list[Any] = []
    sure: list[Any] = []
    for at, place in enumerate(order):
        for person, body in enumerate(lists[place]):
            joints = body.get(points_key) if isinstance(body, dict) else None
            if not isinstance(joints, list) or not joints:
                continue
            if points and len(joints) != len(points[0]):
                raise DataError(
                    f"{path}, frame {numbers_F[at]}, body {person}: {len(joints)} joints, those "
                    f"before have {len(points[0])}; put each kind into a file of its own"
                )
            points.append(joints)
            told = body.get(sure_key)
            sure.append(told if isinstance(told, list) and len(told) == len(joints) else None)
            ids.append(identity(body.get(id_key)))
            owners.append(at)
    if not points:
        raise DataError(f"{path}: nobody in {len(lists):,} frames")
    poses = numbers_of(path, points)
    if poses.ndim != 3 or poses.shape[2] != _DIMS:
        raise DataError(f"{path}: {points_key} is no list of [x, y, z]")
    poses[(poses == 0.0).all(-1)] = np.nan
    joints = poses.shape[1]
    known = joint_sets().get(_SETS.get(joints, ""))
    if len(names) != joints:
        names = known.joints if known else tuple(map(str, range(joints)))
    known = of_names(names)
    confidence = None
    if None not in sure:
        confidence = numbers_of(path, sure)
        if np.nanmax(confidence, initial=0.0) > 1.0:
            confidence = confidence / _PER_CENT
    entries = Entries(
        path=path,
        frames_E=np.array(owners, np.int64),
        numbers_F=numbers_F,
        poses_EJD=poses,
        confidence_EJ=confidence,
        ids_E=None if None in ids else [str(one) for one in ids],
    )
    times_F = _seconds([times[place] for place in order], scale)
    fps = None if times_F is None else rate_of(times_F)
    return entries.motion(
        checked_names(path, names),
        skeleton=known.name if known else None,
        fps=fps,
        times_F=times_F if fps else None,
        **more,
    )


def _seconds(told: Sequence[Any], scale: float) -> Any:
    """Return times from the first one on; None where they are none, or not in order."""
    if not all(isinstance(one, int | float) and abs(one) < _LATEST for one in told):
        return None
    times = np.array(told, np.float64)
    times = (times - times[0]) * scale
    return times if len(times) > 1 and (np.diff(times) >= 0).all() else None


FORMATS: Final = (
    Format(
        name="kinect-azure",
        about="Kinect Azure: bodies as its offline processor saves them",
        endings=(".json",),
        fields=_AZURE_FIELDS,
        fits=_fits_azure,
        read=_read_azure,
        dims=(3,),
        holds=frozenset({"people", "identity", "names", "rate", "times", "unit"}),
    ),
    Format(
        name="zed",
        about="ZED: bodies as the SDK's export sample saves them",
        endings=(".json",),
        fields=_ZED_FIELDS,
        fits=_fits_zed,
        read=_read_zed,
        dims=(3,),
        holds=frozenset({"people", "identity", "confidence", "rate", "times"}),
        sets={count: _SETS[count] for count in (18, 34, 38)},
    ),
)
