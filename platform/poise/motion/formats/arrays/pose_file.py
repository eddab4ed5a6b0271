"""The binary .pose files of sign language processing (pose-format 0.1 and 0.2)."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from poise.motion.format import Format, Sample, Written
from poise.motion.motion import Motion
from poise.motion.names import checked_names, known_joints
from poise.motion.rates import tidy_rate
from poise.motion.tables.tracks import person_places
from poise.runtime.errors import DataError
from poise.runtime.printable import printable

_FIELDS: Final = {
    "components": "body, face, hands, each with the names of its points; the body is read, the "
    "others are kept as they are",
    "X, Y (Z)": "of each point, float32, in pixels of the width and height in the header",
    "C": "confidence of each point; 0 where it was not seen",
    "fps": "frames a second",
    "people": "by their place, which stays",
}
_VERSIONS: Final = (0.1, 0.2)
_MOST_POINTS: Final = 10_000
_FLOAT: Final = 4
#: Of a frame count in two bytes that says there are more than it can count.
_UNCOUNTED: Final = (0, 65535)


@dataclass(frozen=True)
class _Component:
    name: str
    format: str
    points: tuple[str, ...]


@dataclass(frozen=True)
class _Head:
    """What is in front of the numbers, and where those are."""

    components: tuple[_Component, ...]
    fps: float
    frames: int
    people: int
    start: int

    @property
    def points(self) -> int:
        return sum(len(one.points) for one in self.components)

    @property
    def dims(self) -> int:
        return max(len(one.format) for one in self.components) - 1


@dataclass(frozen=True)
class _Rest:
    content: bytes
    head: _Head
    first: int


class _Bytes:
    """Reads a header in turn."""

    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0

    def numbers(self, form: str) -> tuple[Any, ...]:
        found = struct.unpack_from(f"<{form}", self.content, self.at)
        self.at += struct.calcsize(f"<{form}")
        return found

    def text(self) -> str:
        (length,) = self.numbers("H")
        raw = self.content[self.at : self.at + length]
        if len(raw) < length:
            raise struct.error("a name that is cut off")
        self.at += length
        return printable(raw.decode("utf-8", "replace"))


def _version(head: bytes) -> float | None:
    """Return the version of a file that begins as such files do."""
    if len(head) < 16:
        return None
    version = round(struct.unpack_from("<f", head)[0], 3)
    (components,) = struct.unpack_from("<H", head, 10)
    (length,) = struct.unpack_from("<H", head, 12)
    name = head[14 : 14 + min(length, 64)]
    plain = 0 < length < 256 and 0 < components < 100 and name.isascii() and b"\0" not in name
    return version if plain and version in (0.0, *_VERSIONS) else None


def _fits(sample: Sample) -> bool:
    version = _version(sample.head)
    return version in _VERSIONS or (version is not None and sample.ending == ".pose")


def _head(path: Path, content: bytes) -> _Head:
    reader = _Bytes(content)
    try:
        version = round(reader.numbers("f")[0], 3)
        if version not in _VERSIONS:
            raise DataError(
                f"{path}: version {version:g} of the format; save it again as 0.1 or 0.2"
            )
        *_, count = reader.numbers("HHHH")
        components = []
        for _ in range(count):
            name, form = reader.text(), reader.text()
            points, limbs, colours = reader.numbers("HHH")
            if points > _MOST_POINTS:
                raise DataError(f"{path}: {points:,} points in component {name[:40]!r}")
            components.append(_Component(name, form, tuple(reader.text() for _ in range(points))))
            reader.at += 2 * 2 * limbs + 3 * 2 * colours
        fps, frames, people = reader.numbers("HHH" if version < _VERSIONS[1] else "fIH")
    except struct.error:
        raise DataError(f"{path}: is cut off in its header; copy it again") from None
    head = _Head(tuple(components), float(fps), frames, people, reader.at)
    if not head.points or not people or not 2 <= head.dims <= 3:
        raise DataError(f"{path}: {head.points} points of {head.dims} dimensions, {people} people")
    each = _FLOAT * people * head.points * (head.dims + 1)
    there = (len(content) - reader.at) // each
    if version < _VERSIONS[1] and frames in _UNCOUNTED:
        head = _Head(head.components, head.fps, there, people, head.start)
    if head.frames > there or not head.frames:
        raise DataError(
            f"{path}: {there:,} whole frames, its header says {head.frames:,}; copy it again"
        )
    return head


def _body(components: Sequence[_Component]) -> int:
    """Return the component that is the body: called so, and in pixels rather than in metres."""
    names = [one.name.lower() for one in components]
    able = [at for at, name in enumerate(names) if "pose" in name or "body" in name]
    return next((at for at in able if "world" not in names[at]), able[0] if able else 0)


def _read(sample: Sample) -> Motion:
    path, content = sample.path, sample.content
    head = _head(path, content)
    at = _body(head.components)
    body = head.components[at]
    first = sum(len(one.points) for one in head.components[:at])
    points = slice(first, first + len(body.points))
    poses, sure = _arrays(content, head)
    poses = poses[:, :, points, : len(body.format) - 1].astype(np.float64)
    sure = sure[:, :, points].astype(np.float64)
    if not len(body.points) or not 2 <= poses.shape[-1] <= 3:
        raise DataError(f"{path}: component {body.name[:40]!r} has no points in 2D or 3D")
    poses[~(sure > 0) | ~np.isfinite(poses).all(-1)] = np.nan
    names, skeleton = known_joints(checked_names(path, [one or "point" for one in body.points]))
    others = [one.name for place, one in enumerate(head.components) if place != at]
    kept = (f"{body.name} is read; kept as they are: {', '.join(others)[:200]}",) if others else ()
    return Motion(
        poses_FPJD=poses,
        joints=names,
        people=tuple(map(str, range(head.people))),
        confidence_FPJ=np.where(np.isfinite(sure), sure, np.nan),
        fps=tidy_rate(head.fps) if np.isfinite(head.fps) and head.fps > 0 else None,
        skeleton=skeleton,
        unit="m" if "world" in body.name.lower() else "px",
        up="-y",
        entries_FP=np.repeat(np.arange(head.frames)[:, None], head.people, 1),
        rest=_Rest(content, head, first),
        source=path,
        notes=kept,
    )


def _arrays(content: bytes, head: _Head) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return copies of coordinates (F, P, J, D) and confidences (F, P, J)."""
    shape = (head.frames, head.people, head.points)
    count = int(np.prod(shape))
    poses = np.frombuffer(content, "<f4", count * head.dims, head.start)
    sure = np.frombuffer(content, "<f4", count, head.start + poses.nbytes)
    return poses.reshape(*shape, head.dims).copy(), sure.reshape(shape).copy()


def _write(motion: Motion) -> Written:
    rest = motion.rest
    if not isinstance(rest, _Rest) or len(motion) != rest.head.frames:
        raise DataError("pose is written only over such a file, with all its frames; write .npz")
    head = rest.head
    poses, sure = _arrays(rest.content, head)
    order = person_places(motion, tuple(map(str, range(head.people))))
    new, seen = motion.poses_FPJD[:, order], motion.seen_FPJ[:, order]
    points, dims = slice(rest.first, rest.first + new.shape[2]), new.shape[3]
    old, was = poses[:, :, points, :dims], np.greater(sure[:, :, points], 0)
    changed = seen[..., None] & (new.astype(np.float32) != old)
    poses[:, :, points, :dims] = np.where(changed, new, old)
    told = motion.confidence_FPJ
    shown: Any = sure[:, :, points] if told is None else np.nan_to_num(told[:, order], nan=1.0)
    # What was filled in is there now, however surely.
    shown = np.where(seen & ~(shown > 0), 1.0, shown)
    sure[:, :, points] = np.where(seen, shown, np.where(was, 0.0, sure[:, :, points]))
    end = head.start + poses.nbytes + sure.nbytes
    return rest.content[: head.start] + poses.tobytes() + sure.tobytes() + rest.content[end:]


FORMATS: Final = (
    Format(
        name="pose",
        about="pose-format of sign language processing, binary; written back only",
        endings=(".pose",),
        fields=_FIELDS,
        fits=_fits,
        read=_read,
        write=_write,
        holds=frozenset({"people", "identity", "confidence", "names", "rate"}),
        only_over=("pose",),
    ),
)
