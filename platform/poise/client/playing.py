"""A recording played through a stream at its own pace, and how late what comes back is.

Shape letters: F frames, P people, J joints, D dimensions.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from poise.client.client import Client, Stream
from poise.client.errors import ClientError
from poise.client.talking import RefinedPose
from poise.motion.motion import Motion

Floats = NDArray[np.floating]
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
    person: int | None = None,
    lag: int | None = None,
    speed: float = 1.0,
    seen: Callable[[int, int], None] = lambda done, total: None,
) -> Played:
    """Play a recording through a service's stream.

    Args:
        client: of the service.
        motion: whose joints the model takes.
        person: which of its people; None plays all of them.
        lag: frames that each frame waits for; None takes the service's own.
        speed: times as fast as it was recorded.
        seen: told how many frames have come back, of how many.

    Raises:
        ClientError: the service refuses, or does not answer.
    """
    poses_FPJD = motion.poses_FPJD.copy()
    if motion.confidence_FPJ is not None:
        poses_FPJD[motion.confidence_FPJ == 0] = np.nan
    if motion.dims not in (2, 3):
        raise ClientError(f"a stream has poses of 2 or 3 dimensions, not {motion.dims}")
    fps = motion.fps or _FPS
    times_F = (motion.times_F - motion.times_F[0]) / (1.0 if motion.fps else _FPS)
    unit = motion.unit or ("m" if motion.dims == 3 else "px")
    many = person is None and len(motion.people) > 1
    with client.stream(
        joints=list(motion.joints),
        dims=motion.dims,
        unit=unit,
        fps=fps,
        lag=lag,
        people="many" if many else "one",
    ) as stream:
        pushed = _everybody(motion, poses_FPJD) if many else _one(poses_FPJD[:, person or 0])
        sent, heard = _through(stream, pushed, times_F, speed, seen)
        lag, lost = int(stream.opened["lag"]), stream.lost
    late = [
        arrived - sent[answer.number + lag]
        for answer, arrived in heard
        if answer.number + lag < len(sent)
    ]
    return Played(
        _with(motion, [answer for answer, _ in heard], None if many else person or 0),
        lag,
        np.array(late, dtype=np.float64),
        lost,
        fps,
    )


def _with(motion: Motion, answers: Sequence[RefinedPose], place: int | None) -> Motion:
    """The motion with what came back of one of its people; None: of all."""
    poses_FPJD = motion.poses_FPJD.copy()
    if place is None and not motion.identified:
        # The service followed them: they are not the places of the file.
        people = max([0, *(one.person + 1 for one in answers)])
        poses_FPJD = np.empty((len(motion), people, *poses_FPJD.shape[2:]), poses_FPJD.dtype)
        nowhere_FP = np.full((len(motion), people), -1)
        motion = motion.with_people(nowhere_FP, tuple(map(str, range(people))))
    poses_FPJD[:, slice(None) if place is None else place] = np.nan
    for one in answers:
        poses_FPJD[one.number, one.person if place is None else place] = one.pose_JD
    return replace(motion, poses_FPJD=poses_FPJD)


_Pushed = list[tuple[Floats, list[int] | None]]


def _one(poses_FJD: Floats) -> _Pushed:
    return [(pose_JD, None) for pose_JD in poses_FJD]


def _everybody(motion: Motion, poses_FPJD: Floats) -> _Pushed:
    """For each frame who is in it, and where the file says so their places among its people."""
    there_FP = np.asarray(~np.isnan(poses_FPJD).all((2, 3)))
    return [
        (poses_PJD[there_P], np.flatnonzero(there_P).tolist() if motion.identified else None)
        for poses_PJD, there_P in zip(poses_FPJD, there_FP, strict=True)
    ]


def _through(
    stream: Stream,
    pushed: _Pushed,
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
        done = heard[-1][0].number + 1 if heard else 0
        seen(done, len(pushed))

    for (pose, ids), at in zip(pushed, times_F.tolist(), strict=True):
        while (left := began + at / speed - time.perf_counter()) > 0:
            hear(stream.receive(left))
        sent.append(time.perf_counter())
        hear(stream.push(pose, at, ids))
    hear(stream.finish())
    return sent, heard
