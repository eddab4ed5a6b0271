"""Labels of YOLO pose: a folder of text files, one a frame, with a line for everybody in it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from poise.catalog.joint_sets import joint_sets
from poise.motion.format import Format, Sample, Written
from poise.motion.motion import Floats, Motion
from poise.motion.people import Entries
from poise.motion.text.triples import frame_numbers, triples_of
from poise.runtime.errors import DataError
from poise.runtime.printable import printable
from poise.runtime.text.files import read_text

_FIELDS: Final = {
    "name of the file": "its last number is the frame; a frame without a file has nobody in it",
    "class": "0 is a person, usually",
    "x, y, width, height": "of the box, from 0 to 1 over the image",
    "px, py, visibility": "of each joint in turn, from 0 to 1; both 0 where it was not seen. "
    "Visibility is the network's confidence in predictions, 0, 1 or 2 in labels; some have none",
    "confidence, track id": "behind the joints, where they were saved with save_conf and a tracker",
}
_SETS: Final = {17: "coco17", 26: "halpe26", 133: "wholebody133", 21: "hand21", 33: "mediapipe33"}
#: Class and box.
_BEFORE: Final = 5
_FEWEST_JOINTS: Final = 3
#: Confidence and track id.
_MOST_AFTER: Final = 2
#: What is cut off by the image's edge reaches a little beyond it.
_FAR: Final = 2.0
_DECIMALS: Final = 6
_TOKENS: Final = re.compile(r"\s+|\S+")


@dataclass(frozen=True)
class _Shape:
    """How many numbers a line has: joints, numbers of each, and those behind."""

    joints: int
    width: int
    after: int

    @property
    def joints_end(self) -> int:
        return _BEFORE + self.joints * self.width


@dataclass(frozen=True)
class _Rest:
    """The files' texts by the numbers of their frames, and where the entries are.

    Attributes:
        places_E2: of each entry, the number of its frame, and the number of its line.
    """

    names: dict[int, str]
    texts: dict[int, str]
    shape: _Shape
    visibility: bool
    places_E2: NDArray[np.int64]


def _files(sample: Sample) -> list[Path]:
    return [file for file in sample.files if file.suffix.lower() == ".txt"]


def _fits(sample: Sample) -> bool:
    files = _files(sample) if sample.is_folder else []
    for file in files[:100]:
        rows = _rows(file, read_text(file, "latin-1").split("\n")[:1], strict=False)
        if rows:
            return _shape(rows[0]) is not None
    return False


def _rows(file: Path, lines: Sequence[str], strict: bool = True) -> list[list[float]]:
    """Return the numbers of each line; none of lines without any.

    Raises:
        DataError: something is no number.
    """
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            row = [float(word) for word in line.split()]
        except ValueError:
            row = [np.inf]
        if not np.isfinite(row).all():
            if not strict:
                return []
            raise DataError(
                f"{file}, line {number}: {printable(line[:60])!r} are not all numbers; correct or "
                "take out the line"
            )
        rows.append(row)
    return [row for row in rows if row] if not strict else rows


def _shape(row: Sequence[float]) -> _Shape | None:
    """Return what a line's numbers are; None where they are no box with joints."""
    if len(row) < _BEFORE + 2 * _FEWEST_JOINTS or not float(row[0]).is_integer():
        return None
    if any(not -_FAR < one < _FAR for one in row[1:_BEFORE]):
        return None
    able = [
        _Shape(joints, width, after)
        for width in (3, 2)
        for after in range(_MOST_AFTER + 1)
        for joints, left in [divmod(len(row) - _BEFORE - after, width)]
        if not left and joints >= _FEWEST_JOINTS
    ]
    # A known number of joints, with a visibility rather than without.
    return min(able, key=lambda one: (one.joints not in _SETS, -one.width, one.after), default=None)


def _read(sample: Sample) -> Motion:
    path, files = sample.path, _files(sample)
    if not files:
        raise DataError(f"{path}: no text files, as YOLO saves its labels in")
    numbers_F = frame_numbers([file.name for file in files])
    texts = [read_text(file, "latin-1") for file in files]
    shape: _Shape | None = None
    rows: list[list[float]] = []
    owners, places = [], []
    for at, (file, text) in enumerate(zip(files, texts, strict=True)):
        for line, row in enumerate(_rows(file, text.split("\n"))):
            if not row:
                continue
            shape = shape or _shape(row)
            if shape is None or (rows and len(row) != len(rows[0])):
                raise DataError(
                    f"{file}, line {line + 1}: {len(row)} numbers; expected class, box, and x, y, "
                    "visibility of each joint, as many in each line"
                )
            rows.append(row)
            owners.append(at)
            places.append((int(numbers_F[at]), line))
    if shape is None:
        raise DataError(f"{path}: nobody in {len(files)} files")
    values_EN = np.array(rows, np.float64)
    points_EJC = values_EN[:, _BEFORE : shape.joints_end].reshape(-1, shape.joints, shape.width)
    third = points_EJC[..., 2:]
    visibility = bool(third.size) and bool(np.isin(third, (0.0, 1.0, 2.0)).all())
    poses = points_EJC[..., :2].copy()
    poses[(poses == 0.0).all(-1) | (visibility & (third[..., :1] == 0.0)).any(-1)] = np.nan
    known = joint_sets().get(_SETS.get(shape.joints, ""))
    entries = Entries(
        path=path,
        frames_E=np.array(owners, np.int64),
        numbers_F=numbers_F,
        poses_EJD=poses,
        confidence_EJ=third[..., 0] if third.size and not visibility else None,
        ids_E=_ids(values_EN[:, shape.joints_end :]),
    )
    return entries.motion(
        known.joints if known else tuple(map(str, range(shape.joints))),
        skeleton=known.name if known else None,
        unit="normalised",
        up="-y",
        rest=_Rest(
            {n: file.name for n, file in zip(numbers_F.tolist(), files, strict=True)},
            dict(zip(numbers_F.tolist(), texts, strict=True)),
            shape,
            visibility,
            np.array(places, np.int64),
        ),
    )


def _ids(after_EN: NDArray[np.float64]) -> list[str] | None:
    """Return track ids, the last numbers, which are whole where they are there."""
    if not after_EN.shape[1]:
        return None
    last = after_EN[:, -1]
    if (last % 1 != 0).any() or (last < 0).any() or (last > 2**40).any():
        return None
    # Confidences of 1, and of nothing else, are no ids.
    return None if after_EN.shape[1] == 1 and (last <= 1).all() else [f"{one:.0f}" for one in last]


def _write(motion: Motion) -> Written:
    rest, entries = motion.rest, motion.entries_FP
    if not isinstance(rest, _Rest) or entries is None:
        raise DataError(
            "yolo is written only over such labels: no other file says how large its image is; "
            "write ultralytics' .json"
        )
    triples, seen = triples_of(motion), motion.seen_FPJ
    files = []
    for frame, number in enumerate(motion.frames_F.tolist()):
        lines: dict[int, str] = {}
        for person in np.flatnonzero(seen[frame].any(-1)).tolist():
            entry = int(entries[frame, person])
            if entry >= 0:
                line = int(rest.places_E2[entry, 1])
                old = rest.texts[number].split("\n")[line]
                lines[line] = _changed(old, rest, triples[frame, person], seen[frame, person])
            else:
                lines[2**30 + person] = _line(motion, frame, person, triples)
        text = "".join(f"{line}\n" for _, line in sorted(lines.items()))
        name = rest.names.get(number)
        if name and text.split() == rest.texts[number].split():
            text = rest.texts[number]
        if text or name:
            files.append((name or f"frame_{number:06d}.txt", text.encode()))
    return files


def _changed(line: str, rest: _Rest, new_JC: NDArray[np.float64], seen_J: NDArray[np.bool_]) -> str:
    """Return a line with the numbers of its joints replaced that are others now."""
    tokens = _TOKENS.findall(line)
    words = [at for at, token in enumerate(tokens) if not token.isspace()]
    places = words[_BEFORE : rest.shape.joints_end]
    old_JC = np.array([float(tokens[at]) for at in places]).reshape(-1, rest.shape.width)
    new_JC = new_JC[:, : rest.shape.width].copy()
    was_J = (old_JC[:, :2] != 0.0).any(-1)
    if rest.visibility:
        was_J &= old_JC[:, 2] > 0
        new_JC[:, 2] = np.where(seen_J, np.where(was_J, old_JC[:, 2], 1.0), 0.0)
    same_JC = (new_JC == old_JC) | (~seen_J & ~was_J)[:, None]
    for at, value, same in zip(places, new_JC.ravel(), same_JC.ravel(), strict=True):
        if not same:
            tokens[at] = f"{value:.{_DECIMALS}f}"
    return "".join(tokens)


def _line(motion: Motion, frame: int, person: int, triples: NDArray[np.float64]) -> str:
    poses: Floats = motion.poses_FPJD[frame, person]
    low, high = np.nanmin(poses, 0), np.nanmax(poses, 0)
    box = [*((low + high) / 2), *(high - low)]
    numbers = [f"{value:.{_DECIMALS}f}" for value in (*box, *triples[frame, person].ravel())]
    who = motion.people[person]
    ids = [who] if motion.identified and len(motion.people) > 1 and who.isdecimal() else []
    # A track id stands behind a confidence of the box.
    return " ".join(["0", *numbers, *(["1", *ids] if ids else [])])


FORMATS: Final = (
    Format(
        name="yolo",
        about="YOLO pose labels: a folder of text files, one a frame; written back only",
        endings=("/",),
        fields=_FIELDS,
        fits=_fits,
        read=_read,
        write=_write,
        dims=(2,),
        holds=frozenset({"people", "identity", "confidence", "unit"}),
        sets=_SETS,
        only_over=("yolo",),
    ),
)
