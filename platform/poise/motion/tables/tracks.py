"""Files with a fixed place for each person: which column belongs to whom and which joint."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from poise.motion.motion import Motion
from poise.runtime.errors import DataError

_KINDS = ("x", "y", "z")
_SURE = ("likelihood", "confidence", "score", "visibility")


@dataclass(frozen=True)
class Tracks:
    """The columns of a table that has some for each person, joint and axis.

    Attributes:
        people: who they are.
        joints: everybody's, in the order of the first who has them.
        dims: coordinates of a joint.
        columns_PJK: the column of each coordinate and, last, of the confidence; -1 where there is
            none.
    """

    people: tuple[str, ...]
    joints: tuple[str, ...]
    dims: int
    columns_PJK: NDArray[np.int64]

    @classmethod
    def of(cls, labels: Sequence[tuple[str, str, str]]) -> Self:
        """Sort columns by their labels: person, joint, coordinate; others are left alone."""
        kinds = {label[2].lower() for label in labels}
        dims = 3 if "z" in kinds else 2
        people = tuple(dict.fromkeys(person for person, _, _ in labels))
        joints = tuple(dict.fromkeys(joint for _, joint, kind in labels if kind.lower() == "x"))
        found = np.full((len(people), len(joints), dims + 1), -1)
        at_person = {name: place for place, name in enumerate(people)}
        at_joint = {name: place for place, name in enumerate(joints)}
        for column, (person, joint, kind) in enumerate(labels):
            axis = kind.lower()
            place = _KINDS.index(axis) if axis in _KINDS[:dims] else dims if axis in _SURE else -1
            if place >= 0 and joint in at_joint:
                found[at_person[person], at_joint[joint], place] = column
        return cls(people, joints, dims, found)

    @property
    def used(self) -> NDArray[np.int64]:
        """The columns that hold something of a motion, in the order of `values`."""
        return self.columns_PJK[self.columns_PJK >= 0]

    def poses(self, table_FC: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """Return poses and confidences of a table's rows; a joint with half its axes is unseen."""
        padded = np.hstack([table_FC, np.full((len(table_FC), 1), np.nan, table_FC.dtype)])
        values = padded[:, self.columns_PJK]
        sure = (self.columns_PJK[..., -1] >= 0).any()
        return values[..., : self.dims], values[..., self.dims] if sure else None

    def values(self, motion: Motion, old_FC: NDArray[Any]) -> NDArray[Any]:
        """Return a motion as the `used` columns of the table, (F, U)."""
        places = person_places(motion, self.people)
        poses = motion.poses_FPJD[:, places]
        if motion.confidence_FPJ is None:
            _, told = self.poses(old_FC)
            sure = np.full(poses.shape[:3], np.nan) if told is None else told
        else:
            sure = motion.confidence_FPJ[:, places]
        values = np.concatenate([poses, sure[..., None]], -1)
        return values[:, self.columns_PJK >= 0]


def has_room(motion: Motion, people: Sequence[str]) -> bool:
    """Say whether a file with places for some people has one for each of a motion's."""
    return len(people) == len(motion.people)


def person_places(motion: Motion, people: Sequence[str]) -> list[int]:
    """Return where a file's people are among a motion's: by id, else in order.

    Raises:
        DataError: there are more or fewer of them than the file has room for.
    """
    if set(people) == set(motion.people):
        return [motion.people.index(name) for name in people]
    if len(people) == len(motion.people):
        return [*range(len(people))]
    raise DataError(
        f"{motion.source}: has room for {len(people)} people, not {len(motion.people)}; write "
        "another format, for example .csv"
    )
