"""COCO keypoint results: one list with an entry for each person in an image."""

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from poise.catalog.joint_sets import joint_sets
from poise.motion.format import Format, Parts, Sample, Written, in_order
from poise.motion.motion import Motion
from poise.motion.people import Entries
from poise.motion.style import TextStyle
from poise.motion.text.json_text import decimals_of, json_number, list_of
from poise.motion.text.long_json import Piece, json_pieces, replaced, style_of
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


#: What the list of entries may be under; the first of them that is there counts.
_KEYS: Final = ("", "annotations", "results", "predictions")
#: Entries that are looked at to tell whether it is such a file.
_LOOKED_AT: Final = 100
#: Entries that are made numbers together.
_TOGETHER: Final = 1024
#: Of a file: 38 people for an hour at 30 frames a second.
_MOST: Final = 2**22
#: After so many it is told how many there may be.
_FORETOLD: Final = 2**14
#: Pieces among which a list of entries begins.
_FIRST: Final = 2**17


@dataclass(frozen=True)
class _Rest:
    """Where the file's text is, and which list of it holds the entries.

    Attributes:
        pieces: reads them again, as `poise.motion.text.long_json.pieces` does.
        member: of the document, whose list it is.
        order_E: places of the entries in the file, sorted by frame.
        images: what the file calls a frame, by its number.
        visibility: whether the third numbers are one.
        id_key: what ids are under.
    """

    style: TextStyle
    pieces: Callable[[], Iterator[Piece]]
    member: int
    order_E: NDArray[np.int64]
    images: dict[int, Any]
    visibility: bool
    id_key: str


def _fits(sample: Sample) -> bool:
    if not sample.is_long and sample.document is None:
        return False
    if not sample.begins_as_json:
        return False
    rows: list[Any] = []
    member = None
    try:
        for piece in itertools.islice(json_pieces(sample)(), _FIRST):
            if piece.number >= 0 and piece.key in _KEYS:
                member = piece.member if member is None else member
                rows.append(piece.value)
            if len(rows) >= _LOOKED_AT or (rows and piece.member != member):
                break
    except DataError:  # of whatever format it is: its reader says so
        return False
    return (
        bool(rows)
        and isinstance(rows[0], dict)
        and "image_id" in rows[0]
        and any(isinstance(row, dict) and isinstance(row.get("keypoints"), list) for row in rows)
    )


class _Entries:
    """The entries of one list, as numbers as they come."""

    def __init__(self, path: Path, member: int) -> None:
        self.path, self.member = path, member
        self.images: list[Any] = []
        #: Who each is, by what that is under, as long as all of them say.
        self.ids: dict[str, list[str]] = {key: [] for key in _IDENTITIES}
        self._numbers: list[NDArray[np.float64]] = []
        self._lists: list[list[Any]] = []
        self._length = 0

    def add(self, row: Any) -> None:
        """Take the next entry; raise `DataError` where it is none."""
        place = len(self.images)
        numbers = row.get("keypoints") if isinstance(row, dict) else None
        if not isinstance(numbers, list) or not numbers or len(numbers) % 3:
            what = f"{len(numbers)} numbers" if isinstance(numbers, list) else "no list"
            raise DataError(
                f"{self.path}, entry {place}: its keypoints are {what}; expected x, y, confidence "
                "of each joint in turn"
            )
        self._length = self._length or len(numbers)
        if len(numbers) != self._length:
            raise DataError(
                f"{self.path}, entry {place}: {len(numbers) // 3} joints, the entries before have "
                f"{self._length // 3}; put each kind of skeleton into a file of its own"
            )
        image = row.get("image_id")
        if not isinstance(image, int | str) or isinstance(image, bool):
            said = f"{self.path}, entry {place}: image_id {image!r} names no image"
            raise DataError(said[:300])
        for key in list(self.ids):
            who = identity(row.get(key))
            if who is None:
                del self.ids[key]
            else:
                self.ids[key].append(who)
        self.images.append(image)
        self._lists.append(numbers)
        if len(self._lists) == _TOGETHER:
            self._settle()

    def values(self) -> NDArray[np.float64]:
        """Return the numbers of all entries, (E, N)."""
        self._settle()
        found = np.concatenate(self._numbers)
        self._numbers = [found]
        return found

    def _settle(self) -> None:
        if self._lists:
            first = len(self.images) - len(self._lists)
            self._numbers.append(numbers_of(self.path, self._lists, first))
            self._lists = []


def _entries(sample: Sample) -> _Entries:
    """Return the entries of a file, read piece by piece.

    Raises:
        DataError: it is damaged, holds nobody, or more than memory would.
    """
    found: dict[str, _Entries] = {}
    told, size = 0, sample.path.stat().st_size
    for piece in json_pieces(sample)():
        told += len(piece.before) + len(piece.text)
        if piece.number < 0 or piece.key not in _KEYS:
            continue
        if not piece.number:  # of several members of one name the last one counts
            found[piece.key] = _Entries(sample.path, piece.member)
        entries = found[piece.key]
        entries.add(piece.value)
        count = len(entries.images)
        if count > _MOST or (count == _FORETOLD and count * (size / told) > 2 * _MOST):
            raise DataError(
                f"{sample.path}: more than {_MOST:,} entries, which is an hour of 38 people; cut "
                "it into takes"
            )
    for key in _KEYS:
        if key in found:
            return found[key]
    raise DataError(f"{sample.path}: holds nobody; the list is empty")


def _read(sample: Sample) -> Motion:
    path, rows = sample.path, _entries(sample)
    images, frames_E, numbers_F = _frames(rows.images)
    order_E = np.argsort(frames_E, kind="stable")
    named = dict(zip(numbers_F.tolist(), images, strict=True))
    values_EN = rows.values()
    if (np.diff(order_E) < 0).any():
        values_EN = values_EN[order_E]
    joints = values_EN.shape[1] // 3
    poses, confidence, visibility = seen_of(values_EN.reshape(-1, joints, 3))
    id_key, ids = next(iter(rows.ids.items()), (_IDENTITIES[0], None))
    known = joint_sets().get(_SETS.get(joints, ""))
    entries = Entries(
        path=path,
        frames_E=frames_E[order_E],
        numbers_F=numbers_F,
        poses_EJD=poses,
        confidence_EJ=confidence,
        ids_E=[ids[place] for place in order_E.tolist()] if ids else None,
    )
    again = json_pieces(sample)
    return entries.motion(
        known.joints if known else tuple(map(str, range(joints))),
        skeleton=known.name if known else None,
        unit="px",
        up="-y",
        rest=_Rest(style_of(sample), again, rows.member, order_E, named, visibility, id_key),
    )


def _frames(
    images: Sequence[Any],
) -> tuple[tuple[Any, ...], NDArray[np.int64], NDArray[np.int64]]:
    """Return the images in order, each entry's place among them, and the frames' numbers."""
    ordered = sorted(set(images), key=lambda image: in_order(str(image)))
    places = {image: number for number, image in enumerate(ordered)}
    frames_E = np.array([places[image] for image in images], np.int64)
    return tuple(ordered), frames_E, frame_numbers([str(image) for image in ordered])


def _write(motion: Motion) -> Written:
    rest = motion.rest
    if isinstance(rest, _Rest) and motion.entries_FP is not None:
        return Parts(rest.style.encoded(_patched(motion, rest, motion.entries_FP)))
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


def _patched(motion: Motion, rest: _Rest, entries_FP: NDArray[np.int64]) -> Iterator[str]:
    """Yield the file's text with the motion's numbers, and its other entries left out."""
    triples, seen = triples_of(motion), motion.seen_FPJ
    people = entries_FP.shape[1]
    # Of each entry, as it stands in the file: which frame and person it is now.
    spot_E = np.full(len(rest.order_E), -1)
    kept = np.flatnonzero(entries_FP >= 0)
    spot_E[rest.order_E[entries_FP.ravel()[kept]]] = kept
    decimals = 0

    def change(piece: Piece) -> str | None:
        nonlocal decimals
        spot = divmod(int(spot_E[piece.number]), people) if people else (-1, 0)
        if spot[0] < 0:
            return None
        text = piece.text
        at = list_of(text, "keypoints")
        close = text.index("]", at) + 1
        numbers = text[at:close]
        decimals = decimals or decimals_of(numbers)
        old = np.array(piece.value["keypoints"], np.float64).reshape(-1, 3)
        numbers = patched_numbers(
            numbers, old, triples[spot], seen[spot], decimals, rest.visibility
        )
        return with_id(text[:at] + numbers + text[close:], (rest.id_key,), motion, spot[1])

    more = [
        _new_entry(motion, triples, frame, person, rest.images[int(motion.frames_F[frame])])
        for frame, person in np.argwhere((entries_FP < 0) & seen.any(-1)).tolist()
    ]
    return replaced(rest.pieces(), rest.member, change, more)


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
