"""C3D files: the points of a take, their labels, unit and rate.

Own code: of 7 whole files with the quirks of real ones the package c3d refuses 4; ezc3d reads all,
but ends the process or runs for minutes on 14 of 400 damaged copies. This reads all, ends on none.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from poise.catalog.dataset_file import METRES
from poise.runtime.errors import DataError
from poise.runtime.text.files import read_file

_BLOCK: Final = 512
_MARK: Final = b"\x50"
#: What wrote the file: DEC's numbers are not IEEE's, MIPS's stand the other way round.
_INTEL, _DEC, _MIPS = 84, 85, 86
_TEXT, _BYTE, _INTEGER, _FLOAT = -1, 1, 2, 4
#: What some programs write for an unseen point is farther away than any room.
_FAR: Final = 1e8
#: Others write one of these for all three coordinates, with either sign.
_CODES: Final = np.array([9999, 16512, 32767, 32768, 99999, 999999], np.float32)
#: A frame number has 16 bits; the largest means "this many or more".
_LAST_FRAME: Final = 0xFFFF
#: Of a parameter: how far the next one is has 16 bits.
_LONGEST: Final = 0xFFFF
#: Of a parameter: its type, its shape, and its bytes within the file's.
_Value = tuple[int, tuple[int, ...], memoryview]
_UNIT_NAMES: Final = re.compile(
    r"(?P<mm>mm|milli[- ]?met(er|re)s?)|(?P<cm>cm|centi[- ]?met(er|re)s?)"
    r"|(?P<m>m|met(er|re)s?)|(?P<in>in|inch(es)?)"
)


@dataclass(frozen=True)
class C3dTake:
    """The points of a file over its frames.

    Attributes:
        fps: frames a second.
        metres: length of the file's unit.
        labels: names of the points in order; a file may name fewer than it has.
        points_FP3: in the file's unit and axes; NaN where a point is unseen.
        first_frame: its number in the file.
    """

    fps: float
    metres: float
    labels: tuple[str, ...]
    points_FP3: NDArray[np.float64]
    first_frame: int = 1


def read_c3d(path: Path, unit: str = "") -> C3dTake:
    """Read the points of a file.

    Args:
        path: the file.
        unit: one of `METRES`, where the file says none or a wrong one.

    Raises:
        DataError: missing, damaged, cut short, or in a unit that nobody said.
    """
    try:
        return _read(path, _File.parse(read_file(path)), unit)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, OverflowError) as error:  # what a damaged file says may mean nothing
        raise DataError(f"{path}: not a whole C3D file ({error})") from None


def _read(path: Path, file: "_File", given: str) -> C3dTake:
    data = _Data.find(file)
    if data.frames_there < data.frames:
        raise DataError(
            f"{path}: {data.frames_there} of {data.frames} frames are there; it is cut short"
        )
    told = "".join(file.texts("POINT:UNITS")).strip().lower().rstrip(".")
    known = _UNIT_NAMES.fullmatch(told)
    unit = given or (known.lastgroup if known else None)
    if not unit:
        raise DataError(
            f"{path}: POINT:UNITS {told!r} is no unit Poise knows; units are {', '.join(METRES)}: "
            "give the right one with --unit, or as unit in the marker map"
        )
    fps = file.number("POINT:RATE", file.header_float(20))
    labels, first = tuple(_labels(file)), file.header_word(6)
    return C3dTake(fps, METRES[unit], labels, data.points(), first)


def with_points(content: bytes, points_FP3: NDArray[np.float64]) -> bytes:
    """Return a file's bytes with other points, NaN for unseen ones; all else stays as it is.

    Raises:
        ValueError: there are more or fewer points or frames than in the file.
    """
    file = _File.parse(content)
    return _Data.find(file).replaced(points_FP3)


def _labels(file: "_File") -> Iterator[str]:
    # A parameter holds 255 labels at most; further ones are in LABELS2, LABELS3, ...
    for number in ("", *range(2, 100)):
        found = file.texts(f"POINT:LABELS{number}")
        if not found:
            return
        # What follows a NUL is what some program's memory held before.
        yield from (label.partition("\0")[0].rstrip() for label in found)


@dataclass(frozen=True)
class _File:
    """A file's bytes and its parameters, called ``GROUP:NAME``."""

    content: bytes
    machine: int
    parameters: Mapping[str, _Value]

    @classmethod
    def parse(cls, content: bytes) -> Self:
        start = (content[0] - 1) * _BLOCK if content else 0
        machine = int.from_bytes(content[start + 3 : start + 4])
        if start < _BLOCK or content[1:2] != _MARK or machine not in (_INTEL, _DEC, _MIPS):
            raise ValueError("its first block is not that of a C3D file")
        return cls(content, machine, _parameters(content, start + 4, _order(machine)))

    def header_word(self, place: int) -> int:
        return int.from_bytes(self.content[place : place + 2], _order(self.machine))

    def header_float(self, place: int) -> float:
        return float(self.floats(self.content[place : place + 4])[0])

    def floats(self, raw: bytes | memoryview) -> NDArray[np.float32]:
        if self.machine != _DEC:
            return np.frombuffer(raw, ">f4" if self.machine == _MIPS else "<f4").astype(np.float32)
        swapped = np.frombuffer(raw, "<u2").reshape(-1, 2)[:, ::-1].copy()
        return (swapped.view("<f4")[:, 0] / 4).astype(np.float32)

    def words(self, raw: bytes | memoryview, kind: str = "u2") -> NDArray[Any]:
        return np.frombuffer(raw, (">" if self.machine == _MIPS else "<") + kind)

    def numbers(self, name: str) -> NDArray[Any]:
        kind, _, raw = self.parameters.get(name, (_BYTE, (), memoryview(b"")))
        if kind == _FLOAT:
            return self.floats(raw)
        return self.words(raw) if kind == _INTEGER else np.frombuffer(raw, np.uint8)

    def number(self, name: str, otherwise: float) -> float:
        found = self.numbers(name)
        return float(found[0]) if len(found) else otherwise

    def texts(self, name: str) -> list[str]:
        kind, shape, raw = self.parameters.get(name, (_TEXT, (), memoryview(b"")))
        width = shape[0] if shape else len(raw)
        if kind != _TEXT or not width:
            return []
        return [_text(bytes(raw[start : start + width])) for start in range(0, len(raw), width)]


def _order(machine: int) -> Any:
    return "big" if machine == _MIPS else "little"


def _text(raw: bytes) -> str:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return text.strip(" \0")


def _parameters(content: bytes, place: int, order: Any) -> dict[str, _Value]:
    """Walk the list of groups and parameters; of two with one name the first counts."""
    groups: dict[int, str] = {}
    found: dict[tuple[int, str], _Value] = {}
    while place + 2 < len(content):
        length, group = np.frombuffer(content[place : place + 2], np.int8).tolist()
        after_name = place + 2 + abs(length)  # a locked one has a negative length
        name = _text(content[place + 2 : after_name]).upper()
        step = int.from_bytes(content[after_name : after_name + 2], order)
        if not length or not group:
            break
        if group < 0:
            groups.setdefault(-group, name)
        else:
            found.setdefault((group, name), _value(memoryview(content), after_name + 2))
        if not step:
            break
        place = after_name + step
    return {f"{groups.get(group, '')}:{name}": value for (group, name), value in found.items()}


def _value(content: memoryview, place: int) -> _Value:
    kind, axes = np.frombuffer(content[place : place + 2], np.int8).tolist()
    start = place + 2 + max(axes, 0)
    shape = tuple(content[place + 2 : start])
    size = min(abs(kind) * math.prod(shape), _LONGEST)
    return kind, shape, content[start : start + size]


@dataclass(frozen=True)
class _Data:
    """Where the points are: frame after frame, first its points and then its analog values."""

    file: _File
    start: int
    frames: int
    width: int
    analog: int
    scale: float

    @classmethod
    def find(cls, file: _File) -> Self:
        width = int(file.number("POINT:USED", file.header_word(2)))
        scale = file.number("POINT:SCALE", file.header_float(12))
        block = file.header_word(16) or int(file.number("POINT:DATA_START", 0))
        if width < 1 or block < 2 or not math.isfinite(scale):
            raise ValueError("it has no points")
        data = cls(file, (block - 1) * _BLOCK, 0, width, file.header_word(4), scale)
        # Header and groups may differ on frames and analog values; the file's length tells which
        # is right.
        channels = max(int(file.number("ANALOG:USED", 0)), 0)
        samples = file.header_word(18) or 1
        known = [
            cls(file, data.start, frames, width, analog, scale)
            for frames in _declared(file, data.frames_there)
            for analog in (data.analog, channels * samples)
        ]
        return next((one for one in known if one.fits), known[0])

    @property
    def frame_bytes(self) -> int:
        return (4 * self.width + self.analog) * (4 if self.scale < 0 else 2)

    @property
    def frames_there(self) -> int:
        return max(len(self.file.content) - self.start, 0) // self.frame_bytes

    @property
    def fits(self) -> bool:
        spare = len(self.file.content) - self.start - self.frames * self.frame_bytes
        return 0 <= spare < _BLOCK

    def points(self) -> NDArray[np.float64]:
        values_FP4 = self._stored()
        points_FP3 = values_FP4[..., :3].astype(np.float32)
        if self.scale > 0:
            points_FP3 *= np.float32(self.scale)
        # The fourth number is how well cameras agreed; a whole number below zero means none did.
        seen_FP = (values_FP4[..., 3] > -1) & np.isfinite(points_FP3).all(-1)
        seen_FP &= (points_FP3 != 0).any(-1) & (np.abs(points_FP3) < _FAR).all(-1)
        equal_FP = (points_FP3 == points_FP3[..., :1]).all(-1)
        seen_FP &= ~(equal_FP & np.isin(np.abs(points_FP3[..., 0]), _CODES))
        return np.where(seen_FP[..., None], points_FP3, np.float32(np.nan)).astype(np.float64)

    def _stored(self) -> NDArray[Any]:
        """Return the numbers of all points as they stand in the file, (F, P, 4)."""
        raw = self.file.content[self.start : self.start + self.frames * self.frame_bytes]
        values = self.file.floats(raw) if self.scale < 0 else self.file.words(raw, "i2")
        values_FP4 = values.reshape(self.frames, -1)[:, : 4 * self.width]
        return values_FP4.reshape(self.frames, self.width, 4)

    def replaced(self, points_FP3: NDArray[np.float64]) -> bytes:
        """Return the file's bytes with other points; those that stay keep their numbers."""
        old_FP3 = self.points()
        if points_FP3.shape != old_FP3.shape:
            raise ValueError(f"points of shape {points_FP3.shape} in place of {old_FP3.shape}")
        unseen_FP = np.asarray(np.isnan(points_FP3).any(-1))
        was_unseen_FP = np.asarray(np.isnan(old_FP3).any(-1))
        same_FP = np.asarray((points_FP3 == old_FP3).all(-1) | (unseen_FP & was_unseen_FP))
        scale = self.scale if self.scale > 0 else 1.0
        places_FP3 = np.where(unseen_FP[..., None], 0.0, points_FP3 / scale)
        # Minus one says that nobody saw the point, 0 that it was computed.
        told_FP = np.where(was_unseen_FP, 0.0, self._stored()[..., 3])
        residual_FP = np.where(unseen_FP, -1.0, told_FP)
        new_FPX = self._bytes_of(np.concatenate([places_FP3, residual_FP[..., None]], -1))
        content = np.frombuffer(self.file.content, np.uint8).copy()
        rows = content[self.start : self.start + self.frames * self.frame_bytes]
        rows = rows.reshape(self.frames, -1)
        used = new_FPX[0].size
        old_FPX = rows[:, :used].reshape(new_FPX.shape)
        rows[:, :used] = np.where(same_FP[..., None], old_FPX, new_FPX).reshape(self.frames, -1)
        return content.tobytes()

    def _bytes_of(self, numbers_FP4: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Return numbers as the file's machine writes them, (F, P, bytes of a point)."""
        order = ">" if self.file.machine == _MIPS else "<"
        if self.scale >= 0:  # as `frame_bytes` has it; 0 means nothing
            whole = np.clip(np.rint(numbers_FP4), -(2**15), 2**15 - 1)
            raw = whole.astype(order + "i2").view(np.uint8)
        elif self.file.machine == _DEC:
            halves = (numbers_FP4 * 4).astype("<f4").view("<u2").reshape(-1, 2)[:, ::-1]
            raw = np.ascontiguousarray(halves).view(np.uint8)
        else:
            raw = numbers_FP4.astype(order + "f4").view(np.uint8)
        return raw.reshape(self.frames, self.width, -1)


def _declared(file: _File, there: int) -> list[int]:
    """Return how many frames the file says it has, what is likeliest first.

    The header counts up to 65,535, and some programs leave it empty; three parameters may know of
    more.
    """
    first, last = file.header_word(6), file.header_word(8)
    counted = (last - first) % (_LAST_FRAME + 1) + 1
    start, end = file.numbers("TRIAL:ACTUAL_START_FIELD"), file.numbers("TRIAL:ACTUAL_END_FIELD")
    told = [file.number(f"POINT:{name}", 0) for name in ("LONG_FRAMES", "FRAMES")]
    if len(start) == len(end) == 2:
        told.insert(0, float((end - start.astype(float)) @ [1, 0x10000]) + 1)
    known = [int(frames) for frames in told if 0 < frames < np.inf]
    for frames in known:
        overflow = frames - counted
        if overflow > 0 and (last == _LAST_FRAME or overflow % (_LAST_FRAME + 1) == 0):
            return [frames]
    if last == 0:
        return known or [there]
    return [max(counted, there) if last == _LAST_FRAME else counted, *known]
