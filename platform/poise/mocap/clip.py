"""One take of motion capture as joints in metres."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from poise.readers.scale import PERSON, wrong_unit
from poise.runtime.errors import DataError
from poise_retrieval.geometry.skeletons import SKELETONS

#: The 17 joints of Human3.6M, in the order of the published layouts.
JOINTS: Final = SKELETONS["h36m17"].joints

#: Adult thigh bones are 0.35 to 0.55 m; wrong units are off by a factor of 2 and more.
_THIGH_METRES: Final = (0.2, 0.75)
_THIGH_LENGTH: Final = 0.45
_THIGH: Final = [JOINTS.index("right_hip"), JOINTS.index("right_knee")]
_FEWEST_FPS: Final = 10


@dataclass(frozen=True)
class MotionClip:
    """One person in one take.

    Attributes:
        name: the take, unique within the subject, for example ``native-07_01``.
        subject: who moves, for example ``S07``.
        fps: frames a second.
        joints_FJ3: (F, 17, 3) float32, `JOINTS`, metres, y up; NaN where the file does not know.
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
        return float(np.nanmedian(np.linalg.norm(ends[:, 1] - ends[:, 0], axis=-1)))

    def resampled(self, fps: float) -> Self:
        """Keep every n-th frame, so that the rate becomes ``fps``.

        Raises:
            DataError: the rate is not a whole multiple of ``fps``.
        """
        stride = round(self.fps / fps)
        if stride < 1 or abs(self.fps / stride - fps) > 0.001 * fps:
            rates = [self.fps / n for n in range(1, int(self.fps // _FEWEST_FPS) + 1)]
            listed = ", ".join(f"{rate:g}" for rate in rates)
            raise DataError(
                f"has {self.fps:g} frames a second, not a multiple of {fps:g}; "
                + (f"possible rates: {listed} (--fps), or say" if rates else "say")
                + " with --source-fps what it was recorded at if its file is wrong"
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
        joints_FJ3: (F, 17, 3) in metres, y up; NaN where the file does not know.
        notes: see `MotionClip`.

    Raises:
        DataError: no frames, infinite values, or a thigh of impossible length or never seen.
    """
    if not len(joints_FJ3):
        raise DataError(f"{file}: no frames")
    joints_FJ3 = np.where(np.isnan(joints_FJ3).any(axis=-1, keepdims=True), np.nan, joints_FJ3)
    bad = np.flatnonzero(np.isinf(joints_FJ3).any(axis=(1, 2)))
    if len(bad):
        raise DataError(f"{file}: {len(bad)} frames are not finite, the first is {bad[0]}")
    notes = (*notes, *(f"{file}: {line}" for line in _missing(joints_FJ3)))
    clip = MotionClip(name, subject, fps, joints_FJ3.astype(np.float32), notes)
    if not np.isfinite(joints_FJ3[:, _THIGH]).all(axis=(1, 2)).any():
        raise DataError(f"{file}: right hip and knee are NaN in every frame")
    thigh = clip.bone("right_hip", "right_knee")
    low, high = _THIGH_METRES
    if not low <= thigh <= high:
        unit = wrong_unit(thigh / _THIGH_LENGTH * PERSON)
        raise DataError(
            f"{file}: the right thigh would be {thigh:.3g} m long, expected {low} to {high}; "
            "the file's length unit is not what its format says"
            + (f" ({unit})" if unit else "")
            + ", or joints are mixed up"
        )
    return clip


def _missing(joints_FJ3: NDArray[np.float64]) -> list[str]:
    """Say which joints are marked as missing, always or in some frames."""
    counts_J = np.count_nonzero(np.isnan(joints_FJ3[..., 0]), axis=0)
    frames = len(joints_FJ3)
    never = [JOINTS[joint] for joint in np.flatnonzero(counts_J == frames).tolist()]
    partly = np.flatnonzero((counts_J > 0) & (counts_J < frames)).tolist()
    lines = [f"not in the file, marked as missing: {', '.join(never)}"] if never else []
    if partly:
        some = ", ".join(f"{JOINTS[joint]} in {counts_J[joint]}" for joint in partly)
        lines.append(f"unknown at times, marked as missing: {some} of {frames} frames")
    return lines
