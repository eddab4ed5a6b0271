"""COCO keypoint results: one list with an entry for each person in an image."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from poise.catalog.joint_sets import joint_sets
from poise.motion.format import Format, Sample, Written, in_order
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

_FIELDS: Final = {
    "image_id": "the frame: a number, or the name of an image that holds one",
    "keypoints": "x, y and confidence of each joint in turn, in pixels; all 0 where it was not "
    "seen. Where every third number is 0, 1 or 2 it is COCO's visibility, and 0 is not seen",
    "score": "of the person, kept as it is",
    "idx, track_id": "who it is, in AlphaPose's files and those of trackers",
    "box, bbox, category_id": "kept as they are",
}
#: The joint sets of such files, by how many joints they have.
_SETS: Final = {17: "coco17", 26: "halpe26", 133: "wholebody133", 136: "halpe136", 21: "hand21",
                25: "body_25", 18: "coco18", 33: "mediapipe33", 16: "mpii16"}  # fmt: skip
_IDENTITIES: Final = ("track_id", "idx", "person_id", "instance_id")


@dataclass(frozen=True)
class _Rest:
    """The text, and the list of it that holds the entries.

    Attributes:
        key: of the list, where the file is an object.
        order_E: places of the entries in the file, sorted by frame.
        images: what the file calls a frame, by its number.
        visibility: whether the third numbers are one.
        id_key: what ids are under.
    """

    style: TextStyle
    text: str
    key: str
    order_E: NDArray[np.int64]
    images: dict[int, Any]
    visibility: bool
    id_key: str


def _fits(sample: Sample) -> bool:
    rows, _ = _rows(sample.document)
    return (
        bool(rows)
        and isinstance(rows[0], dict)
        and "image_id" in rows[0]
        and any(
            isinstance(row, dict) and isinstance(row.get("keypoints"), list) for row in rows[:100]
        )
    )


def _rows(document: Any) -> tuple[list[Any], str]:
    """Return the entries, and the key they stand under."""
    if isinstance(document, dict):
        for key in ("annotations", "results", "predictions"):
            if isinstance(document.get(key), list):
                return document[key], key
        return [], ""
    return (document, "") if isinstance(document, list) else ([], "")


def _read(sample: Sample) -> Motion:
    path = sample.path
    rows, key = _rows(sample.document)
    if not rows:
        raise DataError(f"{path}: holds nobody; the list is empty")
    values_EN = _keypoints(path, rows)
    images, frames_E, numbers_F = _frames(path, [row.get("image_id") for row in rows])
    order_E = np.argsort(frames_E, kind="stable")
    named = dict(zip(numbers_F.tolist(), images, strict=True))
    joints = values_EN.shape[1] // 3
    poses, confidence, visibility = seen_of(values_EN[order_E].reshape(-1, joints, 3))
    id_key, ids = _ids(rows)
    known = joint_sets().get(_SETS.get(joints, ""))
    entries = Entries(
        path=path,
        frames_E=frames_E[order_E],
        numbers_F=numbers_F,
        poses_EJD=poses,
        confidence_EJ=confidence,
        ids_E=[ids[place] for place in order_E.tolist()] if ids else None,
    )
    return entries.motion(
        known.joints if known else tuple(map(str, range(joints))),
        skeleton=known.name if known else None,
        unit="px",
        up="-y",
        rest=_Rest(sample.style, sample.text, key, order_E, named, visibility, id_key),
    )


def _keypoints(path: Path, rows: Sequence[Any]) -> NDArray[np.float64]:
    """Return the numbers of all entries; each has as many."""
    lists: list[list[Any]] = []
    for place, row in enumerate(rows):
        numbers = row.get("keypoints") if isinstance(row, dict) else None
        if not isinstance(numbers, list) or not numbers or len(numbers) % 3:
            what = f"{len(numbers)} numbers" if isinstance(numbers, list) else "no list"
            raise DataError(
                f"{path}, entry {place}: its keypoints are {what}; expected x, y, confidence of "
                "each joint in turn"
            )
        if lists and len(numbers) != len(lists[0]):
            raise DataError(
                f"{path}, entry {place}: {len(numbers) // 3} joints, the entries before have "
                f"{len(lists[0]) // 3}; put each kind of skeleton into a file of its own"
            )
        lists.append(numbers)
    return numbers_of(path, lists)


def _frames(
    path: Path, images: Sequence[Any]
) -> tuple[tuple[Any, ...], NDArray[np.int64], NDArray[np.int64]]:
    """Return the images in order, each entry's place among them, and the frames' numbers."""
    for place, image in enumerate(images):
        if not isinstance(image, int | str) or isinstance(image, bool):
            raise DataError(f"{path}, entry {place}: image_id {image!r} names no image"[:300])
    ordered = sorted(set(images), key=lambda image: in_order(str(image)))
    places = {image: number for number, image in enumerate(ordered)}
    frames_E = np.array([places[image] for image in images], np.int64)
    return tuple(ordered), frames_E, frame_numbers([str(image) for image in ordered])


def _ids(rows: Sequence[dict[str, Any]]) -> tuple[str, list[str] | None]:
    """Return what ids are under, and who each entry is; None where not all of them say."""
    for key in _IDENTITIES:
        found = [identity(row.get(key)) for row in rows]
        if None not in found:
            return key, [str(one) for one in found]
    return _IDENTITIES[0], None


def _write(motion: Motion) -> Written:
    rest = motion.rest
    if isinstance(rest, _Rest) and motion.entries_FP is not None:
        return rest.style.encode(_patched(motion, rest, motion.entries_FP))
    triples = triples_of(motion)
    rows = [
        _new_entry(motion, triples, frame, person, int(motion.frames_F[frame]))
        for frame, person in np.argwhere(motion.seen_FPJ.any(-1)).tolist()
    ]
    return ("[" + ",\n ".join(rows) + "]\n").encode()


def _new_entry(
    motion: Motion, triples: NDArray[np.float64], frame: int, person: int, image: Any
) -> str:
    numbers = ", ".join(json_number(value, 6) for value in triples[frame, person].ravel().tolist())
    score = float(triples[frame, person, :, 2].mean())
    key = motion.rest.id_key if isinstance(motion.rest, _Rest) else _IDENTITIES[0]
    who = f', "{key}": {id_json(motion.people[person])}' if motion.identified else ""
    return (
        f'{{"image_id": {json.dumps(image)}, "category_id": 1, "keypoints": [{numbers}], '
        f'"score": {json_number(score, 6)}{who}}}'
    )


def _patched(motion: Motion, rest: _Rest, entries_FP: NDArray[np.int64]) -> str:
    """Return the file's text with the motion's numbers, and its other entries left out."""
    triples, seen = triples_of(motion), motion.seen_FPJ
    # Of each entry, as it stands in the file: which frame and person it is now.
    spots = np.argwhere(entries_FP >= 0)
    where = {
        int(rest.order_E[entries_FP[frame, person]]): (frame, person)
        for frame, person in spots.tolist()
    }
    decimals = 0

    def change(number: int, row: Any, begin: int, end: int) -> str | None:
        nonlocal decimals
        spot = where.get(number)
        if spot is None:
            return None
        at = list_of(rest.text, "keypoints", begin, end)
        close = rest.text.index("]", at) + 1
        numbers = rest.text[at:close]
        decimals = decimals or decimals_of(numbers)
        old = np.array(row["keypoints"], np.float64).reshape(-1, 3)
        numbers = patched_numbers(
            numbers, old, triples[spot], seen[spot], decimals, rest.visibility
        )
        text = rest.text[begin:at] + numbers + rest.text[close:end]
        return with_id(text, (rest.id_key,), motion, spot[1])

    more = [
        _new_entry(motion, triples, frame, person, rest.images[int(motion.frames_F[frame])])
        for frame, person in np.argwhere((entries_FP < 0) & seen.any(-1)).tolist()
    ]
    start = list_of(rest.text, rest.key) if rest.key else rest.text.index("[")
    return rewritten(rest.text, start, change, more)


FORMATS: Final = (
    Format(
        name="coco",
        about="COCO keypoint results: MMPose, AlphaPose, ViTPose, Detectron2",
        endings=(".json",),
        fields=_FIELDS,
        fits=_fits,
        read=_read,
        write=_write,
        dims=(2,),
        holds=frozenset({"people", "identity", "confidence"}),
        sets=_SETS,
    ),
)
