"""One person in one video: what every reader yields and every writer takes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from poise.runtime.printable import printable


@dataclass(frozen=True)
class PoseSequence:
    """A sequence in the units of its track (metres, pixels, 6D rotations).

    Attributes:
        name: unique within track and split.
        detected_FC: the estimator's output, (F, C) float32.
        truth_FC: ground truth of the same shape, or None.
        fps: frames a second, None where unknown.
        take: name that all cameras of this moment share; None where there is one camera.
        unseen_FJ: joints that the estimator did not see, whose ``detected_FC`` is filled along
            time; None where it saw all.
        untrue_FJ: the same of ``truth_FC``: these joints are not scored.
        note: what the reader did to it that a user should know; mostly nothing.
    """

    name: str
    subject: str
    camera: str | None
    action: str | None
    fps: float | None
    detected_FC: NDArray[np.float32]
    truth_FC: NDArray[np.float32] | None
    take: str | None = None
    unseen_FJ: NDArray[np.bool_] | None = None
    untrue_FJ: NDArray[np.bool_] | None = None
    note: str = ""


@dataclass(frozen=True)
class Rejected:
    """A sequence (or a whole file) that was left out, and why."""

    file: str
    sequence: str
    key: str
    reason: str

    def __str__(self) -> str:
        found = f"{self.file}, sequence {self.sequence}, key {self.key}: {self.reason}"
        return printable(found)
