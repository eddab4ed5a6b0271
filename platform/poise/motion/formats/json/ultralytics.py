"""Ultralytics (YOLO pose): the JSON of its results, of one frame or of many."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from poise.catalog.joint_sets import joint_sets
from poise.motion.format import Format, Sample, Written
from poise.motion.motion import Motion
from poise.motion.people import Entries
from poise.motion.text.instances import (
    Frames,
    InstancesRest,
    first_list,
    folder_of_lists,
    in_number_order,
    written,
)
from poise.motion.text.json_text import decimals_of, json_number, member_of, renumbered
from poise.motion.text.triples import id_json, identity, numbers_of, triples_of
from poise.runtime.errors import DataError

_FIELDS: Final = {
    "the file": "what to_json() returns of a frame: a list of everybody in it; a list of such "
    "lists; or a folder with a file for each frame, whose name ends in its number",
    "keypoints": "x and y of all joints, each a list, in pixels or from 0 to 1; both 0 where a "
    "joint was not seen; visible: how sure the network is, from 0 to 1",
    "track_id": "who it is, where a tracker said so",
    "frame": "number of a frame, where frames are objects that hold a list of everybody",
    "name, class, confidence, box": "kept as they are",
}
_SETS: Final = {17: "coco17", 26: "halpe26", 133: "wholebody133", 21: "hand21", 33: "mediapipe33"}
_NUMBERS: Final = ("frame", "frame_id", "frame_number", "frame_index", "index")
_AXES: Final = ("x", "y")
_SURE: Final = "visible"


def _is_person(value: Any) -> bool:
    points = value.get("keypoints") if isinstance(value, dict) else None
    return isinstance(points, dict) and all(isinstance(points.get(axis), list) for axis in _AXES)


def _holds_people(value: Any) -> bool:
    return isinstance(value, list) and any(map(_is_person, value))


def _inner(document: Any) -> str | None:
    """Return the key of everybody in a frame, "" where frames are lists of them.

    Raises:
        LookupError: it is no such file, or one frame alone.
    """
    for frame in document if isinstance(document, list) else []:
        if _holds_people(frame):
            return ""
        if isinstance(frame, dict):
            for key, value in frame.items():
                if _holds_people(value):
                    return str(key)
    raise LookupError


def _fits(sample: Sample) -> bool:
    if sample.is_folder:
        return _holds_people(first_list(sample))
    document = sample.document
    if _holds_people(document):
        return True
    try:
        _inner(document)
    except LookupError:
        return False
    return True


def _frames(sample: Sample) -> tuple[Frames, str | None]:
    path, document = sample.path, sample.document
    if _holds_people(document):
        return Frames([document], [0], np.zeros(1, np.int64)), None
    try:
        inner = _inner(document)
    except LookupError:
        raise DataError(f"{path}: nobody with keypoints x and y, as Ultralytics has them") from None
    if not inner:
        return Frames(document, range(len(document)), np.arange(len(document))), inner
    told = [frame if isinstance(frame, dict) else {} for frame in document]
    key = next((one for one in _NUMBERS if one in told[0]), "")
    order, numbers_F = in_number_order(path, [frame.get(key) for frame in told])
    return Frames([frame.get(inner) for frame in told], order, numbers_F), inner


def _read(sample: Sample) -> Motion:
    path = sample.path
    contents: list[tuple[str, bytes]] = []
    inner: str | None = None
    if sample.is_folder:
        frames, contents = folder_of_lists(sample)
    else:
        frames, inner = _frames(sample)
    places, owners, ids = [], [], []
    lists: list[list[Any]] = []
    for at, place, person, instance in frames.people():
        if not _is_person(instance):  # a thing, not a person
            continue
        points = instance["keypoints"]
        one = [points[axis] for axis in (*_AXES, *([_SURE] if _SURE in points else []))]
        lengths = {len(values) if isinstance(values, list) else -1 for values in one}
        if lengths == {0}:
            continue
        if len(lengths) > 1 or (lists and lengths != {len(lists[0][0])}):
            raise DataError(
                f"{path}, frame {frames.numbers_F[at]}, person {person}: x, y and visible have "
                f"{', '.join(map(str, sorted(lengths)))} numbers, where each joint has one"
            )
        lists.append(one if len(one) > len(_AXES) else [*one, [None] * len(one[0])])
        owners.append(at)
        places.append((place, person))
        ids.append(identity(instance.get("track_id")))
    if not lists:
        raise DataError(f"{path}: nobody with joints in {len(frames.lists):,} frames")
    values_EJC = numbers_of(path, lists).transpose(0, 2, 1)
    poses, sure = values_EJC[..., :2].copy(), values_EJC[..., 2]
    poses[(poses == 0.0).all(-1)] = np.nan
    entries = Entries(
        path=path,
        frames_E=np.array(owners, np.int64),
        numbers_F=frames.numbers_F,
        poses_EJD=poses,
        confidence_EJ=None if np.isnan(sure).all() else sure,
        ids_E=None if None in ids else [str(one) for one in ids],
    )
    known = joint_sets().get(_SETS.get(poses.shape[1], ""))
    return entries.motion(
        known.joints if known else tuple(map(str, range(poses.shape[1]))),
        skeleton=known.name if known else None,
        up="-y",
        rest=InstancesRest.of(sample, frames, places, contents, inner=inner),
    )


def _write(motion: Motion) -> Written:
    triples = triples_of(motion)
    return written(
        motion,
        lambda spot, text, instance: _changed(motion, triples, spot, text, instance),
        lambda spot: _person(motion, triples, *spot),
        _whole,
    )


def _whole(frames: list[tuple[int, str]]) -> str:
    lines = [f'{{"frame": {number}, "results": [{people}]}}' for number, people in frames]
    return "[" + ",\n".join(lines) + "]\n"


def _person(motion: Motion, triples: NDArray[np.float64], frame: int, person: int) -> str:
    lists = [
        f'"{key}": [{", ".join(json_number(value, 6) for value in values)}]'
        for key, values in zip((*_AXES, _SURE), triples[frame, person].T.tolist(), strict=True)
    ]
    who = f', "track_id": {id_json(motion.people[person])}' if motion.identified else ""
    return f'{{"name": "person", "class": 0, "keypoints": {{{", ".join(lists)}}}{who}}}'


def _changed(
    motion: Motion,
    triples: NDArray[np.float64],
    spot: tuple[int, int],
    text: str,
    instance: dict[str, Any],
) -> str:
    """Return a person's text with other numbers where they are others."""
    points = instance["keypoints"]
    old = np.array([points[axis] for axis in _AXES], np.float64)
    unseen_J = ~motion.seen_FPJ[spot] & (old == 0.0).all(0)
    keys = [*_AXES, *([_SURE] if _SURE in points and motion.confidence_FPJ is not None else [])]
    for key, new in zip(keys, triples[spot].T, strict=False):
        before = np.array(points[key], np.float64)
        same = (new == before) | unseen_J | (np.isnan(before) & (new == 1.0))
        if same.all():
            continue
        begin, end = member_of(text, "keypoints")
        at, stop = member_of(text, key, begin, end)
        numbers = renumbered(text[at:stop], ~same, new.tolist(), decimals_of(text[at:stop]))
        text = text[:at] + numbers + text[stop:]
    return text


FORMATS: Final = (
    Format(
        name="ultralytics",
        about="Ultralytics (YOLO pose): results as JSON",
        endings=(".json", "/"),
        fields=_FIELDS,
        fits=_fits,
        read=_read,
        write=_write,
        dims=(2,),
        holds=frozenset({"people", "identity", "confidence"}),
        sets=_SETS,
    ),
)
