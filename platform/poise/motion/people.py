"""Entries of a file, each a person in a frame, put into one array of frames and people."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from poise.motion.format import in_order
from poise.motion.motion import Motion
from poise.runtime.errors import DataError

#: Of the poses of all people in all frames; an hour of ten people with 133 joints has 3.4e9.
_MOST_BYTES: Final = 4 * 2**30
_FLOAT: Final = 8


@dataclass(frozen=True)
class Entries:
    """What a file says, an entry for each person in a frame.

    Attributes:
        path: the file.
        frames_E: place of each entry's frame among `numbers_F`, rising.
        numbers_F: the frames' numbers in the file, rising; some may have no entry.
        poses_EJD: NaN where a joint was not seen.
        confidence_EJ: None where there is none.
        ids_E: who each is; None where nobody says.
    """

    path: Path
    frames_E: NDArray[np.int64]
    numbers_F: NDArray[np.int64]
    poses_EJD: NDArray[np.float64]
    confidence_EJ: NDArray[np.float64] | None
    ids_E: Sequence[str] | None

    def motion(self, joints: Sequence[str], **more: Any) -> Motion:
        """Put the entries beside each other: by who they are, else in the order of each frame."""
        entries, frames = len(self.frames_E), len(self.numbers_F)
        if self.ids_E is None:
            starts = np.searchsorted(self.frames_E, self.frames_E)
            places_E = np.arange(entries) - starts
            people = tuple(map(str, range(int(places_E.max(initial=-1)) + 1)))
        else:
            ids = _told_apart(self.frames_E, self.ids_E)
            people = tuple(sorted(set(ids), key=in_order))
            place = {name: number for number, name in enumerate(people)}
            places_E = np.array([place[name] for name in ids], np.int64)
        size = frames * len(people) * self.poses_EJD[0].size if entries else 0
        if size * _FLOAT > _MOST_BYTES:
            raise DataError(
                f"{self.path}: {len(people):,} people in {frames:,} frames do not fit in memory; "
                "cut it into takes, or leave out people that are seen for a moment"
            )
        poses = np.full((frames, len(people), *self.poses_EJD.shape[1:]), np.nan)
        poses[self.frames_E, places_E] = self.poses_EJD
        confidence = None
        if self.confidence_EJ is not None:
            confidence = np.full(poses.shape[:3], np.nan)
            confidence[self.frames_E, places_E] = self.confidence_EJ
        entries_FP = np.full(poses.shape[:2], -1)
        entries_FP[self.frames_E, places_E] = np.arange(entries)
        return Motion(
            poses_FPJD=poses,
            joints=tuple(joints),
            people=people,
            confidence_FPJ=confidence,
            frames_F=self.numbers_F,
            # Somebody who is alone in every frame is one person.
            identified=self.ids_E is not None or len(people) < 2,
            entries_FP=entries_FP,
            source=self.path,
            **more,
        )


def _told_apart(frames_E: NDArray[np.int64], ids: Sequence[str]) -> list[str]:
    """Give an id that stands twice in a frame a number behind, for the second one."""
    seen: set[tuple[int, str]] = set()
    found = []
    for frame, name in zip(frames_E.tolist(), ids, strict=True):
        one, number = name, 2
        while (frame, one) in seen:
            one, number = f"{name}_{number}", number + 1
        seen.add((frame, one))
        found.append(one)
    return found
