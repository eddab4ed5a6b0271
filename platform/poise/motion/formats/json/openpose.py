"""OpenPose's folder of JSON files, one a frame; RTMPose in Pose2Sim and Sports2D writes it, too."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from poise.catalog.joint_sets import joint_sets
from poise.motion.format import Format, Sample, Written, document_of, json_files
from poise.motion.motion import Motion
from poise.motion.people import Entries
from poise.motion.style import TextStyle
from poise.motion.text.json_text import decimals_of, json_number, list_of, rewritten
from poise.motion.text.triples import (
    frame_numbers,
    id_json,
    identity,
    numbers_of,
    patched_numbers,
    seen_of,
    triples_of,
    with_id,
)
from poise.runtime.errors import DataError
from poise.runtime.text.files import decode, read_file

_FIELDS: Final = {
    "people": "everybody in the frame, in no order that lasts",
    "person_id": "who it is; [-1] where nobody says, as OpenPose does",
    "pose_keypoints_2d": "x, y and confidence of each joint in turn, in pixels (or as "
    "--keypoint_scale said); all 0 where it was not seen",
    "pose_keypoints_3d": "x, y, z and confidence, where there is no 2D",
    "face_keypoints_2d, hand_left_keypoints_2d, hand_right_keypoints_2d": "kept as they are",
    "name of the file": "its last number is the frame",
}
#: What joints are under, and how many numbers a joint has; older files say pose_keypoints.
_KEYS: Final = {"pose_keypoints_2d": 3, "pose_keypoints": 3, "pose_keypoints_3d": 4}
_SETS: Final = {25: "body_25", 18: "coco18", 15: "mpi15", 17: "coco17", 26: "halpe26",
                133: "wholebody133", 136: "halpe136", 21: "hand21", 33: "mediapipe33"}  # fmt: skip


@dataclass(frozen=True)
class _Rest:
    """The files, and where the entries are in them.

    Attributes:
        names: of the files, by the number of their frame.
        contents: their bytes.
        key: what joints are under.
        places_E2: of each entry, the number of its frame, and its place among the people there.
        is_file: whether there was no folder, but one file.
    """

    names: dict[int, str]
    contents: dict[int, bytes]
    key: str
    places_E2: NDArray[np.int64]
    is_file: bool


def _fits(sample: Sample) -> bool:
    if sample.is_folder:
        files = json_files(sample)
        return bool(files) and b'"people"' in read_file(files[0])
    return isinstance(sample.document, dict) and isinstance(sample.document.get("people"), list)


def _read(sample: Sample) -> Motion:
    files = json_files(sample)
    contents = [read_file(file) for file in files]
    everybody = [_people(file, content) for file, content in zip(files, contents, strict=True)]
    numbers_F = frame_numbers([file.name.replace("_keypoints", "") for file in files])
    key = next((key for key in _KEYS for people in everybody if _says(people, key)), "")
    if not key:
        raise DataError(
            f"{sample.path}: nobody has {' or '.join(_KEYS)} in {len(files)} files; nobody was "
            "seen, or it is no output of OpenPose"
        )
    width = _KEYS[key]
    places, ids, owners = [], [], []
    lists: list[list[Any]] = []
    for frame, people in enumerate(everybody):
        for place, person in enumerate(people):
            numbers = person.get(key) or []
            if not numbers:  # a face or a hand alone
                continue
            if not isinstance(numbers, list) or len(numbers) % width:
                raise DataError(f"{files[frame]}, person {place}: {key} is no list of joints")
            if lists and len(numbers) != len(lists[0]):
                raise DataError(
                    f"{files[frame]}, person {place}: {len(numbers) // width} joints, those before "
                    f"have {len(lists[0]) // width}; put each kind of skeleton into its own folder"
                )
            places.append((int(numbers_F[frame]), place))
            owners.append(frame)
            lists.append(numbers)
            ids.append(identity(person.get("person_id")))
    joints = len(lists[0]) // width
    values = numbers_of(sample.path, lists).reshape(-1, joints, width)
    poses, confidence, _ = seen_of(values, visibility=False)
    known = joint_sets().get(_SETS.get(joints, ""))
    entries = Entries(
        path=sample.path,
        frames_E=np.array(owners, np.int64),
        numbers_F=numbers_F,
        poses_EJD=poses,
        confidence_EJ=confidence,
        ids_E=None if None in ids else [str(one) for one in ids],
    )
    order = numbers_F.tolist()
    rest = _Rest(
        {number: file.name for number, file in zip(order, files, strict=True)},
        dict(zip(order, contents, strict=True)),
        key,
        np.array(places, np.int64),
        not sample.is_folder,
    )
    return entries.motion(
        known.joints if known else tuple(map(str, range(joints))),
        skeleton=known.name if known else None,
        unit=None,  # as --keypoint_scale said, which no file tells
        up="-y" if width == 3 else None,
        rest=rest,
    )


def _says(people: list[dict[str, Any]], key: str) -> bool:
    return any(person.get(key) for person in people)


def _people(file: Path, content: bytes) -> list[dict[str, Any]]:
    document = document_of(file, content)
    people = document.get("people") if isinstance(document, dict) else None
    if not isinstance(people, list) or not all(isinstance(one, dict) for one in people):
        raise DataError(f"{file}: no list of people in it, so no output of OpenPose; take it out")
    return people


def _write(motion: Motion) -> Written:
    rest, entries = motion.rest, motion.entries_FP
    triples, seen = triples_of(motion), motion.seen_FPJ
    kept = isinstance(rest, _Rest) and entries is not None
    files = []
    for frame, number in enumerate(motion.frames_F.tolist()):
        if kept and number in rest.names:
            files.append((rest.names[number], _patched(motion, frame, triples[frame], seen[frame])))
            continue
        people = [
            _person(motion, place, triples[frame, place])
            for place in range(len(motion.people))
            if seen[frame, place].any()
        ]
        text = '{"version": 1.3, "people": [' + ", ".join(people) + "]}"
        files.append((f"frame_{number:012d}_keypoints.json", text.encode()))
    return files[0][1] if kept and rest.is_file else files


def _person(motion: Motion, place: int, triples_JC: NDArray[np.float64]) -> str:
    key = "pose_keypoints_2d" if motion.dims == 2 else "pose_keypoints_3d"
    numbers = ", ".join(json_number(value, 6) for value in triples_JC.ravel().tolist())
    who = id_json(motion.people[place]) if motion.identified else "-1"
    return f'{{"person_id": [{who}], "{key}": [{numbers}]}}'


def _patched(
    motion: Motion, frame: int, triples_PJC: NDArray[np.float64], seen_PJ: NDArray[np.bool_]
) -> bytes:
    """Return a frame's file with the motion's numbers, and people it does not have left out."""
    rest: _Rest = motion.rest
    entries_P: Any = motion.entries_FP[frame]  # type: ignore[index]
    content = rest.contents[int(motion.frames_F[frame])]
    text, style = decode(content), TextStyle.of(content)
    width = _KEYS[rest.key]
    where = {int(rest.places_E2[entry, 1]): at for at, entry in enumerate(entries_P) if entry >= 0}

    def change(number: int, person: Any, begin: int, end: int) -> str | None:
        if number not in where:
            return None if person.get(rest.key) else text[begin:end]
        at = list_of(text, rest.key, begin, end)
        close = text.index("]", at) + 1
        old = np.array(person[rest.key], np.float64).reshape(-1, width)
        place = where[number]
        numbers = patched_numbers(
            text[at:close], old, triples_PJC[place], seen_PJ[place], decimals_of(text[at:close])
        )
        text_now = text[begin:at] + numbers + text[close:end]
        return with_id(text_now, ("person_id",), motion, place)

    more = [
        _person(motion, place, triples_PJC[place])
        for place, entry in enumerate(entries_P)
        if entry < 0 and seen_PJ[place].any()
    ]
    new = rewritten(text, list_of(text, "people"), change, more)
    return content if new == text else style.encode(new)


FORMATS: Final = (
    Format(
        name="openpose",
        about="OpenPose, and RTMPose in Pose2Sim and Sports2D: a folder of JSON files",
        endings=("/", ".json"),
        fields=_FIELDS,
        fits=_fits,
        read=_read,
        write=_write,
        holds=frozenset({"people", "identity", "confidence"}),
        sets=_SETS,
    ),
)
