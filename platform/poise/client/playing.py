"""A recording played through a stream at its own pace, and how late what comes back is.

Shape letters: F frames, J joints, D dimensions.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from poise.client.client import Client, Stream
from poise.client.errors import ClientError
from poise.client.talking import RefinedPose
from poise.motion.motion import Motion

#: The name of the recording that comes with Poise.
SAMPLE: Final = "sample"
#: Rate of recordings that say none.
_FPS: Final = 30.0


@dataclass(frozen=True)
class Played:
    """What became of a recording.

    Attributes:
        motion: refined; NaN where nobody was there, or a frame was lost.
        lag: frames that each frame waited for.
        late_F: seconds from the frame that was waited for to the answer, of those that had to wait.
        lost: frames that never came back.
        fps: at which it was played.
    """

    motion: Motion
    lag: int
    late_F: NDArray[np.float64]
    lost: int
    fps: float

    def late_ms(self, share: float) -> float:
        """Milliseconds that so many frames were not later than."""
        return 1e3 * float(np.quantile(self.late_F, share)) if len(self.late_F) else float("nan")


def sample_path() -> Path:
    """Where the recording is that comes with Poise: MediaPipe on a walking person, 60 fps."""
    return Path(str(resources.files("poise.client").joinpath("sample.trc")))


def play(
    client: Client,
    motion: Motion,
    person: int = 0,
    lag: int | None = None,
    speed: float = 1.0,
    seen: Callable[[int, int], None] = lambda done, total: None,
) -> Played:
    """Play one person of a recording through a service's stream.

    Args:
        client: of the service.
        motion: whose joints the model takes.
        person: which of its people.
        lag: frames that each frame waits for; None takes the service's own.
        speed: times as fast as it was recorded.
        seen: told how many frames have come back, of how many.

    Raises:
        ClientError: the service refuses, or does not answer.
    """
    poses_FJD = motion.poses_FPJD[:, person].copy()
    if motion.confidence_FPJ is not None:
        poses_FJD[motion.confidence_FPJ[:, person] == 0] = np.nan
    if motion.dims not in (2, 3):
        raise ClientError(f"a stream has poses of 2 or 3 dimensions, not {motion.dims}")
    fps = motion.fps or _FPS
    times_F = (motion.times_F - motion.times_F[0]) / (1.0 if motion.fps else _FPS)
    unit = motion.unit or ("m" if motion.dims == 3 else "px")
    with client.stream(
        joints=list(motion.joints), dims=motion.dims, unit=unit, fps=fps, lag=lag
    ) as stream:
        sent, heard = _through(stream, poses_FJD, times_F, speed, seen)
        lag, lost = int(stream.opened["lag"]), stream.lost
    refined_FPJD = motion.poses_FPJD.copy()
    refined_FPJD[:, person] = np.nan
    late = []
    for answer, arrived in heard:
        refined_FPJD[answer.number, person] = answer.pose_JD
        if answer.number + lag < len(sent):
            late.append(arrived - sent[answer.number + lag])
    return Played(motion.with_poses(refined_FPJD), lag, np.array(late, dtype=np.float64), lost, fps)


def _through(
    stream: Stream,
    poses_FJD: NDArray[np.floating],
    times_F: NDArray[np.float64],
    speed: float,
    seen: Callable[[int, int], None],
) -> tuple[list[float], list[tuple[RefinedPose, float]]]:
    """When each frame was sent, and what came back when."""
    began, sent = time.perf_counter(), list[float]()
    heard: list[tuple[RefinedPose, float]] = []

    def hear(answers: list[RefinedPose]) -> None:
        now = time.perf_counter()
        heard.extend((answer, now) for answer in answers)
        seen(len(heard), len(poses_FJD))

    for pose_JD, at in zip(poses_FJD, times_F.tolist(), strict=True):
        while (left := began + at / speed - time.perf_counter()) > 0:
            hear(stream.receive(left))
        sent.append(time.perf_counter())
        hear(stream.push(pose_JD, at))
    hear(stream.finish())
    return sent, heard
