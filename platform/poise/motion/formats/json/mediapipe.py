"""MediaPipe's landmarks as JSON: what the Tasks return, dumps of the older solutions, TF.js."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from poise.motion.format import Format, Sample, Written
from poise.motion.motion import DIMENSIONS, Motion
from poise.motion.names import MOST_FRAME, checked_names, known_joints
from poise.motion.people import Entries
from poise.motion.rates import rate_of
from poise.motion.sizes import image_size
from poise.motion.style import TextStyle
from poise.motion.text.json_text import decimals_of, elements, json_number, member_of, rewritten
from poise.motion.text.triples import numbers_of
from poise.runtime.errors import DataError

_FIELDS: Final = {
    "landmarks": "of each frame, null or empty where nobody was seen: a list of people, or of one "
    "person's landmarks; also pose_landmarks, poseLandmarks, keypoints, or the frame itself",
    "x, y, z": "of a landmark: 0 to 1 over the image, y down, z towards the camera from the hips",
    "visibility": "from 0 to 1; also score",
    "width, height": "of the image, beside the frames or in metadata; also image_width, frameWidth "
    "..., resolution",
    "frame, timestamp_ms": "number and time of a frame; also frame_number, frameIndex, timestamp",
    "worldLandmarks": "metres from the middle of the hips; kept as they are, unless they are read "
    "instead: --from mediapipe-world",
}
_IMAGE: Final = (
    "landmarks",
    "pose_landmarks",
    "poseLandmarks",
    "keypoints",
    "pose",
    "NormalizedLandmark",
)
_WORLD: Final = ("worldLandmarks", "world_landmarks", "pose_world_landmarks", "poseWorldLandmarks",
                 "keypoints3D")  # fmt: skip
_FRAMES: Final = ("frames", "data", "results", "poses", "detections")
_NUMBER: Final = ("frame", "frame_number", "frame_id", "frameIndex", "frame_index", "frameNumber",
                  "index")  # fmt: skip
_TIMES: Final = {"timestamp_ms": 1e-3, "timestampMs": 1e-3, "time_ms": 1e-3, "timestamp": 1.0,
                 "time": 1.0, "time_s": 1.0, "t": 1.0}  # fmt: skip
_SURE: Final = ("visibility", "score", "presence")
#: Steps between frames that are longer are milliseconds.
_LONGEST_STEP_S: Final = 2.0
#: Nanoseconds since 1970 are below.
_LATEST: Final = 1e20
_INNERMOST: Final = re.compile(r"\{[^{}]*\}|\[[^\[\]{}]*\d[^\[\]{}]*\]")
_AXIS: Final = re.compile(r'("([xyz])"\s*:\s*)(-?\d[\d.eE+-]*|null|NaN)')
_VALUE: Final = re.compile(r"-?\d[\d.eE+-]*|null|NaN")


@dataclass(frozen=True)
class _Rest:
    """The text, and where in it the frames and their landmarks are.

    Attributes:
        frames_key: of the list of frames in the document; "" where the document is that list.
        key: of the landmarks in a frame; "" where a frame is its landmarks.
        several: whether a frame holds a list of people.
        places: of the frames in the list, by their number.
        places_E2: of each entry, the place of its frame and of the person there.
    """

    style: TextStyle
    text: str
    frames_key: str
    key: str
    several: bool
    places: dict[int, int]
    places_E2: NDArray[np.int64]


def _frames(document: Any) -> tuple[list[Any], str] | None:
    """Return the frames of a document and the key of their list."""
    if isinstance(document, list):
        return document, ""
    if isinstance(document, dict):
        for key in _FRAMES:
            if isinstance(document.get(key), list):
                return document[key], key
    return None


def _landmark(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(value.get(axis, ""), int | float | None) for axis in "xy")
    return (
        isinstance(value, list)
        and 2 <= len(value) <= 5
        and all(isinstance(one, int | float | None) for one in value)
        and any(one is not None for one in value)
    )


def _people(value: Any) -> tuple[list[list[Any]], bool]:
    """Return each person's landmarks in a value, and whether it is a list of people."""
    while isinstance(value, dict):
        inner = value.get("landmark") or value.get("landmarks") or value.get("keypoints")
        if inner is None:
            return [], False
        value = inner
    if not isinstance(value, list) or not value:
        return [], False
    if any(map(_landmark, value)):
        return [value], False
    found = [_people(one)[0] for one in value]
    return [person for people in found for person in people], True


def _key(frames: list[Any], keys: tuple[str, ...]) -> str | None:
    """Return what landmarks are under in frames; "" where frames are landmarks, None in others."""
    for frame in frames[:1000]:
        if isinstance(frame, dict):
            found = next((key for key in keys if _people(frame.get(key))[0]), None)
            if found is not None:
                return found
        elif isinstance(frame, list) and keys is _IMAGE and _people(frame)[0]:
            return ""
    return None


def _fits(sample: Sample, keys: tuple[str, ...]) -> bool:
    found = _frames(sample.document)
    return found is not None and _key(found[0], keys) is not None


def _read(sample: Sample, keys: tuple[str, ...]) -> Motion:
    path, found = sample.path, _frames(sample.document)
    key = _key(found[0], keys) if found else None
    if found is None or key is None:
        raise DataError(f"{path}: no frames with {' or '.join(keys[:3])} in it")
    frames, frames_key = found
    if len(frames) > 1 and key == "" and all(map(_landmark, frames)):
        frames = [frames]  # one frame alone
    numbers, order = _numbers(path, frames)
    lists: list[list[Any]] = []
    owners, places, several = [], [], False
    for at, place in enumerate(order):
        frame = frames[place]
        people, many = _people(frame.get(key) if isinstance(frame, dict) else frame)
        several |= many
        for person, landmarks in enumerate(people):
            if lists and len(landmarks) != len(lists[0]):
                raise DataError(
                    f"{path}, frame {numbers[at]}: {len(landmarks)} landmarks, those before have "
                    f"{len(lists[0])}; put each kind into a file of its own"
                )
            lists.append(landmarks)
            owners.append(at)
            places.append((place, person))
    poses, sure = _arrays(path, lists)
    names, skeleton = _named(path, lists[0])
    entries = Entries(
        path=path,
        frames_E=np.array(owners, np.int64),
        numbers_F=numbers,
        poses_EJD=poses,
        confidence_EJ=sure,
        ids_E=None,
    )
    times = _times([frames[place] for place in order])
    fps = rate_of(times, numbers) if times is not None else None
    world = keys is _WORLD
    return entries.motion(
        names,
        skeleton=skeleton,
        unit="m" if world else None,
        image=None if world else image_size(sample.document),
        up="-y",
        fps=fps,
        times_F=times if fps else None,
        rest=_Rest(
            sample.style,
            sample.text,
            frames_key,
            key,
            several,
            dict(zip(numbers.tolist(), order, strict=True)),
            np.array(places, np.int64),
        ),
    )


def _numbers(path: Path, frames: list[Any]) -> tuple[NDArray[np.int64], list[int]]:
    """Return the frames' numbers, rising, and the place of each in the file."""
    told: list[Any] = [
        next((frame[key] for key in _NUMBER if key in frame), None)
        if isinstance(frame, dict)
        else None
        for frame in frames
    ]
    whole = all(isinstance(one, int) and abs(one) < MOST_FRAME for one in told)
    if not told or not whole or len(set(told)) < len(told):
        return np.arange(len(frames)), [*range(len(frames))]
    order = sorted(range(len(told)), key=lambda place: told[place])
    return np.array([told[place] for place in order], np.int64), order


def _times(frames: list[Any]) -> NDArray[np.float64] | None:
    for key, scale in _TIMES.items():
        told = [frame.get(key) if isinstance(frame, dict) else None for frame in frames]
        if all(isinstance(one, int | float) and abs(one) < _LATEST for one in told):
            times = np.array(told, np.float64) * scale
            steps = np.diff(times)
            if len(steps) and (steps >= 0).all() and steps.any():
                if scale == 1.0 and float(np.median(steps)) > _LONGEST_STEP_S:
                    times = times * 1e-3
                return times
    return None


def _arrays(
    path: Path, lists: list[list[Any]]
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    first = next(one for one in lists[0] if _landmark(one))
    if isinstance(first, list):
        values = numbers_of(path, lists)
        if values.shape[-1] >= 4:
            return values[..., :3], values[..., 3]
        return values, None
    axes = DIMENSIONS if "z" in first else DIMENSIONS[:2]
    flat = [[[one.get(axis) for axis in axes] for one in person] for person in map(_dicts, lists)]
    poses = numbers_of(path, flat)
    kind = next((key for key in _SURE if key in first), None)
    if kind is None:
        return poses, None
    return poses, numbers_of(path, [[one.get(kind) for one in _dicts(person)] for person in lists])


def _dicts(person: list[Any]) -> list[dict[str, Any]]:
    return [one if isinstance(one, dict) else {} for one in person]


def _named(path: Path, person: list[Any]) -> tuple[tuple[str, ...], str | None]:
    names = [one.get("name") if isinstance(one, dict) else None for one in person]
    if all(isinstance(name, str) and name for name in names):
        return known_joints(checked_names(path, [str(name) for name in names]))
    return known_joints([*map(str, range(len(person)))])


def _write(motion: Motion, key: str) -> Written:
    rest = motion.rest
    if isinstance(rest, _Rest) and motion.entries_FP is not None:
        return rest.style.encode(_patched(motion, rest))
    lines = []
    for frame, number in enumerate(motion.frames_F.tolist()):
        people = [
            _person(motion, frame, person)
            for person in np.flatnonzero(motion.seen_FPJ[frame].any(-1)).tolist()
        ]
        time = f', "timestamp_ms": {motion.times_F[frame] * 1e3:.6f}' if motion.rate_known else ""
        lines.append(f'{{"frame": {number}{time}, "{key}": [{", ".join(people)}]}}')
    return ("[" + ",\n".join(lines) + "]\n").encode()


def _person(motion: Motion, frame: int, person: int) -> str:
    """Return a person's landmarks as JSON; null where one was not seen."""
    sure = motion.confidence_FPJ
    found = []
    for joint, name in enumerate(motion.joints):
        values = motion.poses_FPJD[frame, person, joint].tolist()
        cells = [
            f'"{axis}": {json_number(value, 8)}'
            for axis, value in zip(DIMENSIONS, values, strict=False)
        ]
        if sure is not None:
            cells.append(f'"visibility": {json_number(float(sure[frame, person, joint]), 8)}')
        found.append("{" + ", ".join([*cells, f'"name": {json.dumps(name)}']) + "}")
    return "[" + ", ".join(found) + "]"


def _patched(motion: Motion, rest: _Rest) -> str:
    """Return the file's text with the motion's numbers; people it lacks stay as they were."""
    entries: Any = motion.entries_FP
    frame_at = {
        rest.places[n]: f for f, n in enumerate(motion.frames_F.tolist()) if n in rest.places
    }
    who = {
        tuple(rest.places_E2[entries[f, p]].tolist()): (f, p)
        for f, p in np.argwhere(entries >= 0).tolist()
    }

    def changed(place: int, frame: Any, begin: int, end: int) -> str | None:
        if place not in frame_at:
            return None
        text, at = rest.text[begin:end], (0, end - begin)
        value = frame
        if isinstance(frame, dict):
            at, value = member_of(text, rest.key), frame.get(rest.key)
        people, _ = _people(value)
        if not people:
            added = [
                _person(motion, frame_at[place], person)
                for person in np.flatnonzero(motion.seen_FPJ[frame_at[place]].any(-1)).tolist()
            ]
            if not added or at[0] < 0:
                return text
            new = "[" + ", ".join(added) + "]" if rest.several else added[0]
            return text[: at[0]] + new + text[at[1] :]
        spots = [who.get((place, person)) for person in range(len(people))]
        region = text[at[0] : at[1]]
        return text[: at[0]] + _renumbered(region, people, spots, motion) + text[at[1] :]

    start = (
        rest.text.index("[") if not rest.frames_key else member_of(rest.text, rest.frames_key)[0]
    )
    if 0 in frame_at and len(rest.places) == 1 and rest.key == "":
        whole = next((value for value, _, _ in elements(rest.text, start)), None)
        if _landmark(whole):  # one frame alone
            document = [value for value, _, _ in elements(rest.text, start)]
            return changed(0, document, 0, len(rest.text)) or rest.text
    return rewritten(rest.text, start, changed, [])


def _renumbered(
    region: str, people: list[list[Any]], spots: list[tuple[int, int] | None], motion: Motion
) -> str:
    decimals = decimals_of(region)
    landmarks = _in_turn(people, spots)

    def spelt(match: re.Match[str]) -> str:
        old, spot, joint = next(landmarks, (None, None, 0))
        if old is None or spot is None:
            return match[0]
        new = motion.poses_FPJD[spot][joint].tolist()
        if isinstance(old, list):
            values = iter(new)
            return _VALUE.sub(lambda one: _other(one[0], next(values, None), decimals), match[0])
        values = dict(zip(DIMENSIONS, new, strict=False))
        return _AXIS.sub(
            lambda one: one[1] + _other(one[3], values.get(one[2]), decimals), match[0]
        )

    return _INNERMOST.sub(spelt, region)


def _other(text: str, value: float | None, decimals: int) -> str:
    """Return a number's text anew where it is another one now."""
    old = float("nan") if text == "null" else float(text)
    if value is None or old == value or (old != old and value != value):
        return text
    return json_number(value, decimals)


def _in_turn(
    people: list[list[Any]], spots: list[tuple[int, int] | None]
) -> Iterator[tuple[Any, tuple[int, int] | None, int]]:
    for person, spot in zip(people, spots, strict=True):
        for joint, landmark in enumerate(person):
            yield landmark, spot, joint


def _format(name: str, about: str, keys: tuple[str, ...]) -> Format:
    return Format(
        name=name,
        about=about,
        endings=(".json",),
        fields=_FIELDS,
        fits=lambda sample: _fits(sample, keys),
        read=lambda sample: _read(sample, keys),
        write=lambda motion: _write(motion, keys[0]),
        holds=frozenset({"people", "confidence", "names", "rate", "times"}),
    )


FORMATS: Final = (
    _format("mediapipe", "MediaPipe's pose landmarks in the image, JSON; TF.js keypoints", _IMAGE),
    _format("mediapipe-world", "MediaPipe's pose landmarks in metres, JSON", _WORLD),
)
