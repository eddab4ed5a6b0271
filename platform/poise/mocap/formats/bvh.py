"""Biovision hierarchies (BVH): skeleton and motion in one file."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, NoReturn, Self

import numpy as np

from poise.mocap.formats.kinematics import Floats, chain_positions, chain_rotations, rotations
from poise.mocap.formats.text_file import (
    LONGEST_NAME,
    MOST_JOINTS,
    UNKNOWN,
    check_cost,
    number,
    numbers,
    read_lines,
)
from poise.readers.image_names import UniqueNames
from poise.runtime.errors import DataError

_COMMENT: Final = re.compile(r"\s*(#|//)")
#: The colon is forgotten now and then.
_HEADER: Final = re.compile(r"\s*(frames|frame\s+time)\s*:?(.*)", re.I)
_KEYWORDS: Final = ("{", "}", "ROOT", "JOINT", "END", "OFFSET", "CHANNELS")
#: Of a frame, in seconds.
_SHORTEST: Final = 1e-6
#: The first line of the header may follow on the same line.
_MOTION: Final = re.compile(r"\s*MOTION\s*(?=$|Frames)", re.I)
_POSITIONS: Final = ("xposition", "yposition", "zposition")
_ROTATIONS: Final = ("xrotation", "yrotation", "zrotation")


@dataclass(frozen=True)
class Joint:
    """A node of the hierarchy; an ``End Site`` is one without channels.

    Attributes:
        name: of an end site, its parent's name with ``_end``; a second ``hand`` is ``hand#2``.
        offset_3: in the parent's frame, in file units.
        channels: lower case, in file order, for example ``("zrotation", ...)``.
    """

    name: str
    parent: int
    offset_3: Floats
    channels: tuple[str, ...]


@dataclass(frozen=True)
class Bvh:
    """A take.

    Attributes:
        values_FC: the motion, one column for each channel of all joints in order.
        notes: what of the file is odd, and how it was read.
        fps: frames a second, rounded where the file's value is a whole number but for rounding.
    """

    file: Path
    joints: tuple[Joint, ...]
    values_FC: Floats
    fps: float
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the joints in file order, end sites included."""
        return tuple(joint.name for joint in self.joints)

    def channels(self, name: str) -> Floats:
        """Return the values of a joint's channels, (F, K)."""
        place = self.names.index(name)
        first = sum(len(joint.channels) for joint in self.joints[:place])
        return self.values_FC[:, first : first + len(self.joints[place].channels)]

    def since(self, frame: int) -> Self:
        """Return the take without the frames before ``frame``."""
        return replace(self, values_FC=self.values_FC[frame:])

    def shifted(self, steps: dict[str, Floats]) -> Self:
        """Return the take with vectors added to the offsets of some joints."""
        values_FC, first = self.values_FC.copy(), 0
        for joint in self.joints:
            for k, channel in enumerate(joint.channels):
                if joint.name in steps and channel in _POSITIONS:
                    values_FC[:, first + k] += steps[joint.name][_POSITIONS.index(channel)]
            first += len(joint.channels)
        joints = tuple(
            replace(joint, offset_3=joint.offset_3 + steps[joint.name])
            if joint.name in steps
            else joint
            for joint in self.joints
        )
        return replace(self, joints=joints, values_FC=values_FC)

    def positions(self) -> Floats:
        """Return all joints in the world, (F, J, 3) in file units.

        Positions replace offsets, the root's too. NaN where a channel above a joint is.
        """
        frames = len(self.values_FC)
        local: list[Floats] = []
        moves: list[Floats] = []
        first = 0
        for joint in self.joints:
            values_FK = self.values_FC[:, first : first + len(joint.channels)]
            first += len(joint.channels)
            turns = [k for k, channel in enumerate(joint.channels) if channel in _ROTATIONS]
            axes = "".join(joint.channels[k][0].upper() for k in turns)
            local.append(rotations(values_FK[:, turns], axes))
            own_F3 = np.tile(joint.offset_3, (frames, 1))
            for k, channel in enumerate(joint.channels):
                if channel in _POSITIONS:
                    axis = _POSITIONS.index(channel)
                    own_F3[:, axis] = values_FK[:, k]
            moves.append(own_F3)
        parents = [joint.parent for joint in self.joints]
        world = chain_rotations(parents, local)
        steps = [
            np.einsum("fab,fb->fa", world[joint.parent], own_F3) if joint.parent >= 0 else own_F3
            for joint, own_F3 in zip(self.joints, moves, strict=True)
        ]
        return chain_positions(parents, np.zeros((frames, 3)), steps)


def distinct(names: Sequence[str]) -> list[str]:
    """Tell names apart: a second ``hand`` becomes ``hand#2``."""
    unique = UniqueNames()
    return [unique.take(name) for name in names]


def read_bvh(path: Path) -> Bvh:
    """Read a take: one skeleton, the largest; joints of one name are told apart, and noted.

    Raises:
        DataError: missing, cut short, damaged, or with channels Poise does not read; names file
            and line.
    """
    lines = ["" if _COMMENT.match(line) else line for line in read_lines(path)]
    first = next((n for n, line in enumerate(lines) if line.strip()), 0)
    motion = next((n for n, line in enumerate(lines) if _MOTION.match(line)), None)
    if motion is None or not lines or lines[first].strip().upper() != "HIERARCHY":
        raise DataError(f"{path}: no HIERARCHY or no MOTION; this is not a whole BVH file")
    lines[first] = ""
    lines[motion] = _MOTION.sub("", lines[motion])
    joints = _Hierarchy(path).read(lines[1:motion])
    frames, seconds, start = _header(path, lines, motion)
    width = sum(len(joint.channels) for joint in joints)
    words = " ".join(lines[start:]).split()
    values = numbers(words, unknown=True)
    told = frames
    notes: tuple[str, ...] = ()
    if width and told and len(words) == (told + 1) * width:  # Rokoko does not count the first one
        frames = told + 1
        note = f"{frames} frames, where its header says {told}; all of them are taken"
        notes = (f"{path}: {note}",)
    if values is None or not frames or len(words) != frames * width:
        _explain(path, lines, start, told, width)
    check_cost(path, frames, len(joints))
    fps = 1 / seconds
    whole = round(fps)
    fps = whole if abs(fps - whole) < 0.01 else fps
    take = _one_skeleton(Bvh(path, joints, values.reshape(frames, width), fps, notes))
    return _told_apart(take)


def _told_apart(take: Bvh) -> Bvh:
    names = distinct(take.names)
    joints = [replace(one, name=name) for one, name in zip(take.joints, names, strict=True)]
    again = dict.fromkeys(
        one.name
        for one, name in zip(take.joints, names, strict=True)
        if one.name != name and one.channels
    )
    note = f"{take.file}: several joints are called {', '.join(again)}; the first counts"
    return replace(take, joints=tuple(joints), notes=(*take.notes, *[note][: len(again)]))


def _one_skeleton(take: Bvh) -> Bvh:
    """Keep the root with the most joints below it, the first of equals: a prop has few."""
    roots: list[int] = []
    for place, joint in enumerate(take.joints):
        roots.append(place if joint.parent < 0 else roots[joint.parent])
    found = list(dict.fromkeys(roots))
    if len(found) == 1:
        return take
    main = max(found, key=roots.count)
    kept = [place for place, root in enumerate(roots) if root == main]
    joints = [
        replace(take.joints[place], parent=max(take.joints[place].parent - main, -1))
        for place in kept
    ]
    widths = [len(joint.channels) for joint in take.joints]
    columns = np.repeat(np.array(roots) == main, widths)
    others = ", ".join(take.joints[root].name for root in found if root != main)
    note = f"{take.file}: {len(found)} skeletons; {take.joints[main].name} is taken, not {others}"
    notes = (*take.notes, note)
    return replace(take, joints=tuple(joints), values_FC=take.values_FC[:, columns], notes=notes)


@dataclass
class _Hierarchy:
    path: Path
    joints: list[Joint] = field(default_factory=list)
    open: list[int] = field(default_factory=list)
    heading: str = ""

    def read(self, lines: list[str]) -> tuple[Joint, ...]:
        begun: list[str] = []  # a line that goes on in the next one
        first = 0
        for place, line in enumerate(lines, start=2):
            for part in line.replace("{", "\n{\n").replace("}", "\n}\n").split("\n"):
                words = part.split()
                if begun and words and words[0].upper() in _KEYWORDS:
                    self._line(first, begun)
                    begun = []
                first = first if begun else place
                begun = [*begun, *words]
                if begun and len(begun) >= _whole_length(begun):
                    self._line(first, begun)
                    begun = []
        if begun or self.open or not self.joints:
            raise DataError(f"{self.path}: brackets of the hierarchy are not closed")
        return tuple(self.joints)

    def _line(self, place: int, words: list[str]) -> None:
        keyword = words[0].upper()
        if keyword in ("ROOT", "JOINT", "END"):
            if (keyword == "ROOT") == bool(self.open):
                self._fail(place, "a ROOT begins a skeleton, all else lies within one")
            self.heading = keyword if keyword == "END" else " ".join(words[1:])
        elif keyword == "{":
            self._begin(place)
        elif keyword == "}":
            if not self.open:
                self._fail(place, "one bracket too many")
            self.open.pop()
        elif keyword == "OFFSET" and self.open and len(words) == 4:
            offset = np.array([number(self.path, place, word) for word in words[1:]])
            self.joints[self.open[-1]] = replace(self.joints[self.open[-1]], offset_3=offset)
        elif keyword == "CHANNELS" and self.open:
            self._channels(place, tuple(word.lower() for word in words[1:]))
        else:
            self._fail(place, f"{' '.join(words)[:60]!r} is not understood here")

    def _begin(self, place: int) -> None:
        if not self.heading:
            self._fail(place, "a bracket without a joint")
        parent = self.open[-1] if self.open else -1
        name = f"{self.joints[parent].name}_end" if self.heading == "END" else self.heading
        if len(self.joints) >= MOST_JOINTS or len(name) > LONGEST_NAME:
            self._fail(
                place,
                f"more than {MOST_JOINTS} joints, or a name of more than {LONGEST_NAME} characters",
            )
        self.open.append(len(self.joints))
        self.joints.append(Joint(name, parent, np.zeros(3), ()))
        self.heading = ""

    def _channels(self, place: int, words: tuple[str, ...]) -> None:
        channels = words[1:]
        turns = [channel for channel in channels if channel in _ROTATIONS]
        moves = [channel for channel in channels if channel in _POSITIONS]
        if words[:1] != (str(len(channels)),) or len(turns) + len(moves) != len(channels):
            self._fail(place, f"channels {' '.join(words)} are not understood")
        if len(set(channels)) != len(channels):
            self._fail(place, "a channel appears twice")
        self.joints[self.open[-1]] = replace(self.joints[self.open[-1]], channels=channels)

    def _fail(self, place: int, reason: str) -> NoReturn:
        raise DataError(f"{self.path}, line {place}: {reason}")


def _whole_length(words: Sequence[str]) -> int:
    """Return how many words a line has that begins so; 0 where any number will do."""
    keyword = words[0].upper() if words else ""
    if keyword == "CHANNELS" and len(words) > 1 and words[1].isdecimal():
        return 2 + int(words[1])
    return {"OFFSET": 4, "CHANNELS": 2}.get(keyword, 0)


def _header(path: Path, lines: list[str], start: int) -> tuple[int, float, int]:
    """Return the number of frames, seconds a frame, and the first line of the motion."""
    found: dict[str, float] = {}
    for place, line in enumerate(lines[start:], start=start + 1):
        said = _HEADER.fullmatch(line)
        if not said and line.strip():
            break
        if said:
            found[" ".join(said[1].lower().split())] = number(path, place, said[2].strip())
        start = place
    frames, seconds = found.get("frames", 0.0), found.get("frame time", 0.0)
    if frames < 1 or frames != int(frames) or seconds < _SHORTEST:
        raise DataError(
            f"{path}, line {start}: after MOTION come 'Frames:' and 'Frame Time:', both above zero"
        )
    return int(frames), seconds, start


def _explain(path: Path, lines: list[str], start: int, frames: int, width: int) -> NoReturn:
    rows = [(place, line.split()) for place, line in enumerate(lines, start=1) if place > start]
    rows = [(place, words) for place, words in rows if words]
    for place, words in rows:
        if len(words) != width:
            raise DataError(
                f"{path}, line {place}: {len(words)} values in a frame, expected {width}; "
                "the file is damaged or cut short, so fetch it again"
            )
        for word in words:
            if word.lower() not in UNKNOWN:
                number(path, place, word)
    raise DataError(
        f"{path}: {len(rows)} frames, but its header says {frames}; "
        "it is cut short, so fetch it again"
    )
