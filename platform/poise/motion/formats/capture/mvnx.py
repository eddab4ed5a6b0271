"""MVNX, the XML of Xsens MVN: places of body segments; read only, frame after frame."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from poise.catalog.joint_sets import of_names
from poise.motion.format import Format, Sample
from poise.motion.motion import Motion
from poise.motion.names import MOST_FRAME, checked_names
from poise.motion.people import Entries
from poise.motion.rates import rate_of, tidy_rate
from poise.runtime.errors import DataError, in_short

_FIELDS: Final = {
    "frameRate": "of the subject, frames a second",
    "segment label": "where a segment begins is a joint, and is called so: RightForeArm is "
    "right_elbow; segments of the trunk keep their names",
    "frame": "those of type normal; poses in front (identity, tpose, npose) are left out. index is "
    "its number, time milliseconds",
    "position": "x, y, z of each segment, metres, z up",
    "orientation, acceleration, ...": "not read",
}
_DIMS: Final = 3
#: The joint at which a segment begins.
_BEGINS: Final = {
    "Shoulder": "collar", "UpperArm": "shoulder", "ForeArm": "elbow", "Hand": "wrist",
    "UpperLeg": "hip", "LowerLeg": "knee", "Foot": "ankle", "Toe": "foot",
}  # fmt: skip
_SIDES: Final = ("Left", "Right")
_CHUNK: Final = 2**20
#: Text of one frame's positions, and segments of one body; real ones have 23.
_LONGEST: Final = 2**16
_MOST_SEGMENTS: Final = 1000


@dataclass
class _Subject:
    label: str
    fps: float | None
    segments: list[str] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    times_ms: list[float | None] = field(default_factory=list)
    poses: list[Any] = field(default_factory=list)


class _Reader:
    """Takes what a parser finds, and keeps positions alone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.subjects: list[_Subject] = []
        self._frame: Mapping[str, str] | None = None
        self._text: list[str] | None = None
        self._length = 0

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        name = tag.rpartition(":")[2]
        if name == "subject":
            label = attributes.get("label") or str(len(self.subjects))
            self.subjects.append(_Subject(label, _number(attributes.get("frameRate"))))
        elif name == "segment" and self.subjects and not self.subjects[-1].numbers:
            self.subjects[-1].segments.append(attributes.get("label", ""))
            if len(self.subjects[-1].segments) > _MOST_SEGMENTS:
                raise DataError(f"{self.path}: more than {_MOST_SEGMENTS:,} segments")
        elif name == "frame":
            normal = attributes.get("type", "normal") == "normal"
            self._frame = attributes if normal and self.subjects else None
        elif name == "position" and self._frame is not None:
            self._text, self._length = [], 0

    def characters(self, text: str) -> None:
        if self._text is not None and self._length < _LONGEST:
            self._text.append(text)
            self._length += len(text)

    def end(self, tag: str) -> None:
        if tag.rpartition(":")[2] == "position" and self._text is not None:
            self._add("".join(self._text))
            self._text = None

    def _add(self, text: str) -> None:
        subject, frame = self.subjects[-1], self._frame or {}
        index = _number(frame.get("index"))
        number = len(subject.numbers) if index is None else index
        where = f"{self.path}, frame {number:g}"
        try:
            places = np.array(text.split(), np.float64)
        except ValueError:
            raise DataError(f"{where}: a position that is no number; export it again") from None
        wanted = len(subject.segments) * _DIMS
        if len(places) != wanted or not wanted:
            raise DataError(
                f"{where}: {len(places)} numbers for {len(subject.segments)} segments; export it "
                "again"
            )
        if number % 1 or abs(number) > MOST_FRAME:
            raise DataError(f"{where}: its index is no number of a frame")
        subject.numbers.append(int(number))
        subject.times_ms.append(_number(frame.get("time")))
        subject.poses.append(places.reshape(-1, _DIMS))


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text else None
    except ValueError:
        return None
    return value if value is None or np.isfinite(value) else None


def _fits(sample: Sample) -> bool:
    begin = "\n".join(sample.head_lines[:20]).lstrip()
    return begin.startswith("<") and "<mvnx" in begin


def _parsed(path: Path) -> list[_Subject]:
    """Parse a file in pieces; entities, which may grow without end, are refused."""
    from xml.parsers import expat

    def declared(*_: Any) -> None:
        raise DataError(f"{path}: declares entities, which no MVNX file needs; export it again")

    reader, parser = _Reader(path), expat.ParserCreate()
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.characters
    parser.EntityDeclHandler = declared
    try:
        with path.open("rb") as stream:
            while piece := stream.read(_CHUNK):
                parser.Parse(piece, False)
            parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise DataError(
            f"{path}, line {error.lineno}: is no whole XML ({expat.ErrorString(error.code)}); "
            "export it again"
        ) from None
    except (OSError, ValueError, LookupError) as error:
        raise DataError(f"{path}: cannot be read ({in_short(error)})") from None
    return reader.subjects


def _read(sample: Sample) -> Motion:
    path = sample.path
    subjects = [one for one in _parsed(path) if one.numbers]
    if not subjects:
        raise DataError(f"{path}: no frames of type normal with positions; export them, too")
    first = subjects[0]
    if any(one.segments != first.segments for one in subjects):
        raise DataError(f"{path}: subjects of different segments; export each by itself")
    names = checked_names(path, [_joint(label) for label in first.segments])
    numbers_F, owners = np.unique(
        np.concatenate([one.numbers for one in subjects]), return_inverse=True
    )
    order = np.argsort(owners, kind="stable")
    ids = [one.label for one in subjects for _ in one.numbers]
    entries = Entries(
        path=path,
        frames_E=owners[order],
        numbers_F=numbers_F,
        poses_EJD=np.concatenate([np.stack(one.poses) for one in subjects])[order],
        confidence_EJ=None,
        ids_E=[ids[place] for place in order.tolist()],
    )
    times_F, fps = _times(first, numbers_F)
    known = of_names(names)
    return entries.motion(
        names,
        skeleton=known.name if known else None,
        unit="m",
        up="+z",
        fps=fps,
        times_F=times_F,
    )


def _times(subject: _Subject, numbers_F: Any) -> tuple[Any, float | None]:
    """Return seconds and the rate: by the frames' times, else by the subject's rate."""
    told = tidy_rate(subject.fps) if subject.fps and subject.fps > 0 else None
    if len(subject.numbers) == len(numbers_F) and None not in subject.times_ms:
        times_F = np.array(subject.times_ms, np.float64) * 1e-3
        if len(times_F) > 1 and (np.diff(times_F) >= 0).all() and (rate := rate_of(times_F)):
            return times_F - times_F[0], told or rate
    return None, told


def _joint(label: str) -> str:
    """Return the joint at which a segment begins."""
    side = next((one for one in _SIDES if label.startswith(one)), "")
    begins = _BEGINS.get(label.removeprefix(side)) if side else None
    if begins is None:
        return {"Pelvis": "pelvis", "Neck": "neck", "Head": "head"}.get(label, label or "segment")
    return f"{side.lower()}_{begins}"


FORMATS: Final = (
    Format(
        name="mvnx",
        about="MVNX of Xsens MVN: where segments begin",
        endings=(".mvnx",),
        fields=_FIELDS,
        fits=_fits,
        read=_read,
        dims=(3,),
        holds=frozenset({"people", "identity", "names", "rate", "times", "unit"}),
    ),
)
