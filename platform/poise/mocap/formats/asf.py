"""Acclaim skeletons (ASF): the bones of one person. Case means nothing in them."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from poise.mocap.formats.kinematics import Floats
from poise.mocap.formats.text_file import LONGEST_NAME, MOST_JOINTS, number, read_lines
from poise.readers.image_names import UniqueNames
from poise.runtime.errors import DataError

_INCH: Final = 0.0254
_DEGREES: Final = {"deg": 1.0, "rad": 180 / math.pi}
_ROOT_CHANNELS: Final = ("tx", "ty", "tz", "rx", "ry", "rz")


@dataclass(frozen=True)
class Bone:
    """A bone in the rest pose, and the axes it can turn about.

    Attributes:
        name: in lower case; a second ``lthumb`` is ``lthumb#2``.
        direction_3: unit vector in the world frame.
        length: in file units.
        axis: degrees about x, y, z that turn the world's axes into the bone's own, x first.
        dof: letters of the axes it turns about, first applied first, for example ``xyz``.
    """

    name: str
    parent: int
    direction_3: Floats
    length: float
    axis: tuple[float, float, float]
    axis_order: str
    dof: str


@dataclass(frozen=True)
class AsfSkeleton:
    """A person's bones; bone 0 is the root, a point.

    Attributes:
        root_order: channels of the root in the motion, for example ``("tx", ..., "rz")``.
        metres: length of a file unit.
        degrees: an angle of 1 in degrees, in motions that do not say theirs.
    """

    file: Path
    bones: tuple[Bone, ...]
    root_order: tuple[str, ...]
    metres: float
    degrees: float = 1.0

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the bones, ``root`` first."""
        return tuple(bone.name for bone in self.bones)

    @property
    def notes(self) -> tuple[str, ...]:
        """What of the file is odd, and how it was read."""
        again = dict.fromkeys(name.partition("#")[0] for name in self.names if "#" in name)
        note = f"{self.file}: several bones are called {', '.join(again)}; the first counts"
        return (note,) if again else ()

    def vector(self, name: str) -> Floats:
        """Return a bone as a vector in the rest pose, in file units."""
        bone = self.bones[self.names.index(name)]
        return bone.direction_3 * bone.length


@dataclass
class _Draft:
    """A bone while its lines are read."""

    line: int
    values: dict[str, list[str]] = field(default_factory=dict)


def read_asf(path: Path) -> AsfSkeleton:
    """Read a skeleton.

    Raises:
        DataError: missing, cut short, or not an Acclaim skeleton; names file and line.
    """
    sections = _sections(path)
    units = {words[0]: words[1] for _, words in sections.get("units", []) if len(words) > 1}
    length = number(path, None, units.get("length", "1.0"))
    degrees = _DEGREES.get(units.get("angle", "deg")[:3])
    if length <= 0 or degrees is None:
        raise DataError(f"{path}: units are {units}; expected a positive length, angle deg or rad")
    root = {words[0]: words[1:] for _, words in sections.get("root", [])}
    order = tuple(root.get("order", ()))
    if sorted(order) != sorted(_ROOT_CHANNELS):
        raise DataError(f"{path}: root order is {order}, expected {_ROOT_CHANNELS} in any order")
    for key in ("orientation", "position"):
        if any(number(path, None, word) for word in root.get(key, ())):
            raise DataError(f"{path}: the root's {key} is not zero, which Poise does not read")
    drafts = list(_drafts(path, sections.get("bonedata", [])))
    parents = _parents(path, sections.get("hierarchy", []))
    bones = _ordered(path, drafts, parents, degrees)
    return AsfSkeleton(path, bones, order, _INCH / length, degrees)


def _sections(path: Path) -> dict[str, list[tuple[int, list[str]]]]:
    found: dict[str, list[tuple[int, list[str]]]] = {}
    current: list[tuple[int, list[str]]] = []
    for place, line in enumerate(read_lines(path), start=1):
        words = line.split("#", 1)[0].lower().split()
        if words and words[0].startswith(":"):
            current = found.setdefault(words[0][1:], [])
        elif words:
            current.append((place, words))
    missing = [name for name in ("units", "root", "bonedata", "hierarchy") if name not in found]
    if missing:
        raise DataError(
            f"{path}: no section :{missing[0]}; this is not a whole Acclaim skeleton, "
            "so fetch it again"
        )
    return found


def _drafts(path: Path, lines: Sequence[tuple[int, list[str]]]) -> Iterator[_Draft]:
    draft: _Draft | None = None
    for place, words in lines:
        if words[0] == "begin":
            draft = _Draft(place)
        elif draft is None:
            raise DataError(f"{path}, line {place}: {words[0]!r} outside begin and end")
        elif words[0] == "end":
            yield draft
            draft = None
        else:
            # Further limits stand on lines of their own, and start with a bracket.
            draft.values.setdefault(words[0], words[1:])
    if draft is not None:
        raise DataError(f"{path}, line {draft.line}: bone without end; the file is cut short")


def _parents(path: Path, lines: Sequence[tuple[int, list[str]]]) -> dict[str, str]:
    words_only = [words for _, words in lines]
    if ["end"] not in words_only:
        raise DataError(f"{path}: the hierarchy has no end; the file is cut short")
    rows = [words for words in words_only if words not in (["begin"], ["end"])]
    names = UniqueNames()
    return {names.take(child): words[0] for words in rows for child in words[1:]}


def _ordered(
    path: Path, drafts: list[_Draft], parents: dict[str, str], degrees: float
) -> tuple[Bone, ...]:
    zero = np.zeros(3)
    bones = [Bone("root", -1, zero, 0.0, (0.0, 0.0, 0.0), "xyz", "")]
    names = UniqueNames()
    waiting: dict[str, _Draft] = {}
    for draft in drafts:
        name = _words(path, draft, "name", 1)[0]
        if len(waiting) >= MOST_JOINTS or len(name) > LONGEST_NAME:
            raise DataError(
                f"{path}, line {draft.line}: more than {MOST_JOINTS} bones, or a name of more than "
                f"{LONGEST_NAME} characters"
            )
        waiting[names.take(name)] = draft
    while waiting:
        places = {bone.name: place for place, bone in enumerate(bones)}
        free = next((name for name in waiting if parents.get(name) in places), None)
        if free is None:
            name, draft = next(iter(waiting.items()))
            raise DataError(
                f"{path}, line {draft.line}: bone {name} hangs on {parents.get(name, 'nothing')}, "
                "which leads to no root"
            )
        bones.append(_bone(path, free, places[parents[free]], waiting.pop(free), degrees))
    unknown = sorted(set(parents) - {bone.name for bone in bones})
    if unknown:
        raise DataError(f"{path}: the hierarchy names {unknown[0]}, which is no bone")
    return tuple(bones)


def _words(path: Path, draft: _Draft, key: str, count: int) -> list[str]:
    words = draft.values.get(key, [])
    if len(words) < count:
        raise DataError(f"{path}, line {draft.line}: bone without a whole {key!r}")
    return words


def _bone(path: Path, name: str, parent: int, draft: _Draft, degrees: float) -> Bone:
    direction = [number(path, draft.line, word) for word in _words(path, draft, "direction", 3)[:3]]
    length = number(path, draft.line, _words(path, draft, "length", 1)[0])
    *angles, order = _words(path, draft, "axis", 4)[:4]
    x, y, z = (number(path, draft.line, word) * degrees for word in angles)
    dof = draft.values.get("dof", [])
    if sorted(order) != ["x", "y", "z"]:
        raise DataError(f"{path}, line {draft.line}: axis order {order!r}, expected XYZ or another")
    if len(set(dof)) != len(dof) or not set(dof) <= {"rx", "ry", "rz"}:
        raise DataError(
            f"{path}, line {draft.line}: bone {name} has dof {' '.join(dof)}; only rx, ry, rz "
            "are read"
        )
    turns = "".join(word[1] for word in dof)
    return Bone(name, parent, np.array(direction), length, (x, y, z), order, turns)
