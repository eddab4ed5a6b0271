"""A stream's frames in time: which are missing between them, when nobody is there, what is told.

As in files (`poise.refining.person`): what is apart by more than half a second is refined apart,
and where nobody was seen for so long there is no pose.

Shape letters: F frames, J joints, D dimensions, C = J x D.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from poise.client.messages import Frames
from poise.readers.filling import FEWEST, whole
from poise.readers.missing import (
    LONGEST_ABSENCE,
    Bools,
    confidences,
    no_confidences,
    unseen,
)
from poise.readers.scale import no_person
from poise.serving.errors import NotFiniteError
from poise.serving.schema import LARGEST
from poise.serving.streams.bodies import Body
from poise.serving.streams.opening import INVALID, StreamError
from poise.serving.streams.pushes import Answer, Flush, Push
from poise_models.base.clip import Refined
from poise_models.base.refiner import SequenceRefiner
from poise_models.live.stream import RefinedFrame

Floats = NDArray[np.float32]
#: Frames for a stream and its ends, and the numbers of frames in which nobody is.
Asked = list[Push | Flush | int]
#: Frames that lie so far apart belong together.
TOGETHER_S: Final = 0.5


@dataclass(frozen=True)
class Told:
    """A frame's answer: poses (J, D), or nothing where nobody was there.

    Attributes:
        number: of the frame.
        pose_JD: in the client's order and unit.
        error_J: how far off joints are expected to be, where the refiner says so.
        quality: in (0, 1], where the refiner has one.
    """

    number: int
    pose_JD: Floats | None = None
    error_J: Floats | None = None
    quality: float | None = None


class Timeline:
    """Frames of one person, numbered as they come, on their way into a stream and out of it.

    Args:
        body: whose joints.
        fps: frames a second.
        first: number of the first.
    """

    def __init__(self, body: Body, fps: float, first: int = 0) -> None:
        self.body = body
        self.came = first
        self._fps = fps
        self._together = max(round(TOGETHER_S * fps), 1) + 1
        self._time: float | None = None
        self._last_JD: Floats | None = None
        self._since_seen: float = 0.0
        self._absent = 0
        #: What is asked, as far as it has not been answered: a frame's number, None for one that
        #: stands for a missing one; whether anybody was there.
        self._waiting: deque[tuple[int | None, bool]] = deque()
        self._by_steps = isinstance(body.refiner, SequenceRefiner)

    def ask(self, frames: Frames) -> Asked:
        """Number frames and say what the stream is to be asked; numbers are frames of nobody.

        Raises:
            StreamError: they are no frames of this body; none of them has been taken then.
        """
        poses_FJD, unseen_FJ = checked(frames, self.body, first=self.came == 0)
        return self.take(poses_FJD, unseen_FJ, frames.times_F)

    def take(
        self, poses_FJD: Floats, unseen_FJ: Bools, times_F: NDArray[np.float64] | None
    ) -> Asked:
        """The same with poses as the refiner takes them, which are known to be such."""
        steps = self._steps(times_F, len(poses_FJD))
        asked: Asked = []
        for pose_JD, unseen_J, step in zip(poses_FJD, unseen_FJ, steps, strict=True):
            asked += self._place(pose_JD, unseen_J, step)
        if times_F is not None:
            self._time = float(times_F[-1])
        return asked

    def end(self) -> Asked:
        """What the stream is to be asked at its end."""
        there = self._last_JD is not None
        self._last_JD = None
        return [Flush()] if there else []

    def tell(self, asked: Asked, answers: list[Answer]) -> list[Told]:
        """Say what the answers mean: one a push or flush, in order.

        Raises:
            NotFiniteError: the refiner gave NaN or infinity.
        """
        found: list[Told] = []
        left = iter(answers)
        for one in asked:
            if isinstance(one, int):
                found.append(Told(one))
                continue
            answer = next(left)
            if isinstance(one, Push):
                self._waiting.append((one.number, one.seen))
            if isinstance(answer, Refined):
                found += self._rest(answer)
            elif answer is not None:
                found += self._one(answer, *self._waiting.popleft())
        return found

    def _place(self, pose_JD: Floats, unseen_J: Bools, step: int) -> Asked:
        """Where a frame goes that comes ``step`` frames after the last."""
        number, self.came = self.came, self.came + 1
        info = self.body.info
        fewest = min(FEWEST, info.joints) if info.dims < 6 else 1
        seen = info.joints - int(np.count_nonzero(unseen_J))
        nobody = seen < (fewest if self._last_JD is None else 1)
        self._since_seen += step
        asked: Asked = []
        if self._last_JD is not None and self._since_seen > self._together:
            asked, self._last_JD = [Flush()], None
        if nobody and self._last_JD is None:
            return [*asked, number]
        begins = self._last_JD is None
        if not begins:
            asked += self._missing(step - 1)
        self._absent = self._absent + 1 if nobody else 0
        frame_C = self._taken(pose_JD, unseen_J, nobody)
        far = step if self._by_steps and not begins else 1
        asked.append(Push(frame_C, float(far), number, seen=not nobody))
        if not nobody:
            self._since_seen = 0.0
        return asked

    def _missing(self, count: int) -> Asked:
        """Frames that stand for missing ones, where the refiner does not go by time itself."""
        if self._by_steps:
            return []
        nothing_J = np.ones(self.body.info.joints, dtype=np.bool_)
        empty_JD = np.full((self.body.info.joints, self.body.info.dims), np.nan, np.float32)
        made: Asked = []
        for _ in range(count):
            self._absent += 1
            made.append(Push(self._taken(empty_JD, nothing_J, nobody=True), seen=False))
        return made

    def _taken(self, pose_JD: Floats, unseen_J: Bools, nobody: bool) -> torch.Tensor:
        """A frame as the refiner takes it: with gaps, or what was seen last in their place."""
        if not np.logical_or.reduce(unseen_J):  # as in most frames
            self._last_JD = pose_JD
            return torch.from_numpy(pose_JD.reshape(-1))
        gaps_JD = np.where(unseen_J[:, None], np.float32(np.nan), pose_JD)
        before_JD = gaps_JD if self._last_JD is None else self._last_JD
        self._last_JD = held_JD = np.where(np.isnan(gaps_JD), before_JD, gaps_JD)
        if self.body.refiner.takes_missing:
            used_JD = held_JD if nobody and self._absent > LONGEST_ABSENCE else gaps_JD
            return torch.from_numpy(used_JD.reshape(-1))
        if np.isnan(held_JD).any():
            full_1C, _ = whole(held_JD.reshape(1, -1), self.body.info)
            return torch.from_numpy(full_1C[0])
        return torch.from_numpy(held_JD.reshape(-1))

    def _steps(self, times_F: NDArray[np.float64] | None, frames: int) -> list[int]:
        """How many frames each one comes after the last; 1 where nobody says when."""
        if times_F is None:
            return [1] * frames
        checked_times(times_F, self._time)
        before = times_F[0] - 1 / self._fps if self._time is None else self._time
        apart_F = np.diff(times_F, prepend=before)
        # What is longer than this is refined apart, however long it is.
        steps_F = np.rint(np.minimum(apart_F * self._fps, 2.0 * self._together + 2))
        steps: list[int] = np.maximum(steps_F, 1).astype(np.int64).tolist()
        return steps

    def _one(self, answer: RefinedFrame, number: int | None, seen: bool) -> list[Told]:
        if number is None:
            return []
        shape = (1, self.body.info.joints, self.body.info.dims)
        pose_JD = self.body.given(answer.pose_C.numpy(force=True).reshape(shape))[0]
        error_J = None
        if answer.error_J is not None:
            error_J = self.body.given(answer.error_J.numpy(force=True)[None])[0]
        if not np.logical_and.reduce(np.isfinite(pose_JD), axis=None):
            raise NotFiniteError("the model gave NaN or infinity for finite poses")
        return [Told(number, pose_JD, error_J, answer.quality)]

    def _rest(self, answer: Refined) -> list[Told]:
        """What a flush answers; nothing is told of who was not seen again."""
        waiting = list(self._waiting)
        self._waiting.clear()
        last = max((at for at, (_, seen) in enumerate(waiting) if seen), default=-1)
        found: list[Told] = []
        for at, (number, seen) in enumerate(waiting):
            if at > last:
                found += [] if number is None else [Told(number)]
                continue
            quality = None if answer.quality_F is None else float(answer.quality_F[at])
            error_J = None if answer.error_FJ is None else answer.error_FJ[at]
            frame = RefinedFrame(answer.poses_FC[at], quality, error_J)
            found += self._one(frame, number, seen)
        return found


def checked(frames: Frames, body: Body, first: bool) -> tuple[Floats, Bools]:
    """Poses as the refiner takes them, and which joints were not seen.

    Args:
        frames: that came.
        body: whose they are.
        first: whether they are the first ones: whose unit is looked at.

    Raises:
        StreamError: a pose or a confidence is none.
    """
    poses_FJD = frames.poses_NJD
    with np.errstate(invalid="ignore"):
        beyond_FJD = np.abs(poses_FJD) > LARGEST
    if np.logical_or.reduce(beyond_FJD, axis=None):
        place = "".join(f"[{at}]" for at in np.argwhere(beyond_FJD)[0].tolist())
        text = f"should be a number from {-LARGEST:g} to {LARGEST:g}"
        raise StreamError(INVALID, f"poses{place}", text)
    taken_FJD = body.taken(poses_FJD)
    sure_FJ = frames.confidence_NJ
    ordered_FJ = None if sure_FJ is None else sure_FJ[:, body.order].astype(np.float64)
    if ordered_FJ is not None and not confidences(ordered_FJ):
        raise StreamError(INVALID, "confidence", no_confidences(ordered_FJ))
    unseen_FJ = unseen(taken_FJD.astype(np.float64), body.info, ordered_FJ)
    if body.in_metres and first:
        seen_F = ~unseen_FJ.any(axis=1)
        wrong = no_person(taken_FJD[seen_F]) if seen_F.any() else ""
        if wrong:
            raise StreamError(INVALID, "poses", f"{wrong}; say so with `unit`")
    return taken_FJD, unseen_FJ


def checked_times(times_F: NDArray[np.float64], before: float | None) -> None:
    """Refuse times that do not rise from the last one on.

    Raises:
        StreamError: they do not.
    """
    if not np.isfinite(times_F).all():
        raise StreamError(INVALID, "times", "they are seconds: numbers, none of them infinite")
    apart_F = np.diff(times_F, prepend=times_F[0] if before is None else before)
    if (apart_F < 0).any():
        place = int((apart_F < 0).argmax())
        raise StreamError(INVALID, f"times[{place}]", "it lies before that of the last frame")
