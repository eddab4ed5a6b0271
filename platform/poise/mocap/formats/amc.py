"""Acclaim motions (AMC): the angles of one take, for the bones of a skeleton (ASF)."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np

from poise.mocap.formats.asf import AsfSkeleton, Bone
from poise.mocap.formats.kinematics import Floats, chain_positions, chain_rotations, rotations
from poise.mocap.formats.text_file import check_cost, number, numbers, read_lines
from poise.readers.image_names import UniqueNames
from poise.runtime.errors import DataError


def read_amc(path: Path, skeleton: AsfSkeleton) -> Floats:
    """Read a motion and return the ends of its bones, (F, J, 3) in file units, y up.

    Joint order is that of ``skeleton.bones``. The format has no frame rate.

    Raises:
        DataError: missing, cut short, damaged, or of another skeleton; names file and line.
    """
    motion = _Motion.open(path, skeleton)
    columns = motion.columns()
    check_cost(path, len(columns["root"]), len(skeleton.bones))
    degrees = motion.degrees
    root_FK = dict(zip(skeleton.root_order, columns["root"].T, strict=True))
    root_F3 = np.stack([root_FK[name] for name in ("tx", "ty", "tz")], axis=1)
    turns = [name for name in skeleton.root_order if name.startswith("r")]
    angles_F3 = degrees * np.stack([root_FK[name] for name in turns], axis=1)
    local = [rotations(angles_F3, "".join(name[1] for name in turns))]
    still_F0 = np.zeros((len(root_F3), 0))
    local += [
        _local(bone, degrees * columns.get(bone.name, still_F0)) for bone in skeleton.bones[1:]
    ]
    parents = [bone.parent for bone in skeleton.bones]
    steps = [
        turn_F33 @ (bone.direction_3 * bone.length)
        for bone, turn_F33 in zip(skeleton.bones, chain_rotations(parents, local), strict=True)
    ]
    return chain_positions(parents, root_F3, steps)


def _local(bone: Bone, angles_FK: Floats) -> Floats:
    own_33 = rotations(np.array([bone.axis]), bone.axis_order)[0]
    turned_F33: Floats = own_33 @ rotations(angles_FK, bone.dof) @ own_33.T
    return turned_F33


@dataclass(frozen=True)
class _Motion:
    """The lines of a file, and the shape of a frame: bone names and how many values each has.

    ``degrees`` is an angle of 1 in degrees.
    """

    path: Path
    skeleton: Path
    lines: list[str]
    start: int
    layout: dict[str, int]
    degrees: float

    @classmethod
    def open(cls, path: Path, skeleton: AsfSkeleton) -> "_Motion":
        lines = [line.split("#", 1)[0].lower() for line in read_lines(path)]
        start = next((n for n, line in enumerate(lines) if line.strip().isdigit()), None)
        if start is None:
            raise DataError(f"{path}: no frames; this is not a whole Acclaim motion")
        said = {line.strip() for line in lines[:start]}
        degrees = skeleton.degrees
        if said & {":radians", ":degrees"}:
            degrees = 180 / math.pi if ":radians" in said else 1.0
        values = {bone.name: len(bone.dof) for bone in skeleton.bones} | {"root": 6}
        layout: dict[str, int] = {}
        names = UniqueNames()
        for line in filter(str.strip, lines[start + 1 :]):
            name = names.take(line.split()[0])
            if name not in values:
                break
            layout[name] = values[name]
        absent = [name for name, count in values.items() if count and name not in layout]
        if absent:
            raise DataError(
                f"{path}, line {start + 1}: the first frame has no {absent[0]}; {skeleton.file} "
                "is the skeleton of another person, or the file is cut short"
            )
        return cls(path, skeleton.file, lines, start, layout, degrees)

    def columns(self) -> dict[str, Floats]:
        """Return the values of every bone over all frames, (F, K) each."""
        words = " ".join(self.lines[self.start :]).split()
        width = 1 + sum(1 + count for count in self.layout.values())
        if len(words) % width:
            self._explain()
        counted = numbers(words[::width])
        if counted is None or (np.diff(counted) != 1).any():
            self._explain()
        found: dict[str, Floats] = {}
        place = 1
        for name, count in self.layout.items():
            if set(words[place::width]) != {_written(name)}:
                self._explain()
            values = [numbers(words[place + 1 + k :: width]) for k in range(count)]
            whole = [column for column in values if column is not None]
            if len(whole) < count:
                self._explain()
            if count:
                found[name] = np.stack(whole, axis=1)
            place += 1 + count
        return found

    def _explain(self) -> NoReturn:
        """Raise for the first wrong line, which `columns` does not know."""
        expected = [None, *self.layout.items()]
        frame = int(self.lines[self.start]) - 1
        step = 0
        for place, line in enumerate(self.lines[self.start :], start=self.start + 1):
            words = line.split()
            if not words:
                continue
            entry = expected[step]
            if entry is None:
                frame += 1
                if words != [str(frame)]:
                    raise DataError(f"{self.path}, line {place}: {line!r}, expected frame {frame}")
            else:
                name, count = entry
                if words[0] != _written(name) or len(words) != 1 + count:
                    raise DataError(
                        f"{self.path}, line {place}: {line[:60]!r} in frame {frame}, expected "
                        f"{_written(name)} and {count} values, as in {self.skeleton}"
                    )
                for word in words[1:]:
                    number(self.path, place, word)
            step = (step + 1) % len(expected)
        raise DataError(
            f"{self.path}, line {len(self.lines)}: the file ends within frame {frame}; "
            "it is cut short, so fetch it again"
        )


def _written(name: str) -> str:
    """Return a bone's name as files have it; ``#`` begins a comment there."""
    return name.partition("#")[0]
