"""One take of motion capture as joints in metres."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from poise.runtime.errors import DataError
from poise_retrieval.geometry.skeletons import SKELETONS

#: The 17 joints of Human3.6M, in the order of the published layouts.
JOINTS: Final = SKELETONS["h36m17"].joints

#: Adult thigh bones are 0.35 to 0.55 m; wrong units are off by a factor of 2 and more.
_THIGH_METRES: Final = (0.2, 0.75)
_FEWEST_FPS: Final = 10


@dataclass(frozen=True)
class MotionClip:
    """One person in one take.

    Attributes:
        name: the take, unique within the subject, for example ``native-07_01``.
        subject: who moves, for example ``S07``.
        fps: frames a second.
        joints_FJ3: (F, 17, 3) float32, `JOINTS`, metres, y up; NaN for joints not in the file.
        notes: what its file left open, and how it was read.
    """

    name: str
    subject: str
    fps: float
    joints_FJ3: NDArray[np.float32]
    notes: tuple[str, ...] = ()

    @property
    def frames(self) -> int:
        """How many frames it has."""
        return len(self.joints_FJ3)

    def bone(self, start: str, end: str) -> float:
        """Return the median distance between two joints, in metres."""
        ends = self.joints_FJ3[:, [JOINTS.index(start), JOINTS.index(end)]].astype(np.float64)
        return float(np.median(np.linalg.norm(ends[:, 1] - ends[:, 0], axis=-1)))

    def resampled(self, fps: float) -> Self:
        """Keep every n-th frame, so that the rate becomes ``fps``.

        Raises:
            DataError: the rate is not a whole multiple of ``fps``.
        """
        stride = round(self.fps / fps)
        if stride < 1 or abs(self.fps / stride - fps) > 0.001 * fps:
            rates = [self.fps / n for n in range(1, int(self.fps // _FEWEST_FPS) + 1)]
            raise DataError(
                f"has {self.fps:g} frames a second, not a multiple of {fps:g}; possible rates: "
                f"{', '.join(f'{rate:g}' for rate in rates)} (--fps), or say with --source-fps "
                "what it was recorded at if its file is wrong"
            )
        return replace(self, fps=fps, joints_FJ3=self.joints_FJ3[::stride])


def checked_clip(
    file: Path,
    name: str,
    subject: str,
    fps: float,
    joints_FJ3: NDArray[np.float64],
    notes: tuple[str, ...] = (),
) -> MotionClip:
    """Make a clip, and check that its joints can be those of a person.

    Args:
        file: what it was read from, for messages.
        name: see `MotionClip`, also for the others.
        subject: who moves.
        fps: frames a second.
        joints_FJ3: (F, 17, 3) in metres, y up; NaN throughout for a joint the file does not have.
        notes: see `MotionClip`.

    Raises:
        DataError: no frames, values that are not finite, or a thigh of impossible length.
    """
    if not len(joints_FJ3):
        raise DataError(f"{file}: no frames")
    absent_J = np.isnan(joints_FJ3).all(axis=(0, 2))
    bad = np.flatnonzero(~np.isfinite(joints_FJ3[:, ~absent_J]).all(axis=(1, 2)))
    if len(bad):
        raise DataError(f"{file}: {len(bad)} frames are not finite, the first is {bad[0]}")
    if absent_J.any():
        names = ", ".join(JOINTS[joint] for joint in np.flatnonzero(absent_J).tolist())
        notes = (*notes, f"{file}: not in the file, marked as missing: {names}")
    clip = MotionClip(name, subject, fps, joints_FJ3.astype(np.float32), notes)
    thigh = clip.bone("right_hip", "right_knee")
    low, high = _THIGH_METRES
    if not low <= thigh <= high:
        raise DataError(
            f"{file}: the right thigh would be {thigh:.3g} m long, expected {low} to {high}; "
            "the file's length unit is not what its format says, or joints are mixed up"
        )
    return clip
