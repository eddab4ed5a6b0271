"""Streams: frames in one by one, refined frames out, each as many frames later as was chosen.

Shape letters: S streams, T frames of a window, F frames, C = joints x dims, J joints,
L = lag + 1, X what is known of a frame.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from poise_models.base.clip import Clip, Refined
from poise_models.base.refiner import Refiner, SequenceRefiner
from poise_models.base.window_refiner import WindowRefiner
from poise_models.errors import ConfigError, ShapeError
from poise_models.filters.gaps import elapsed
from poise_models.filters.linear import Linear
from poise_models.live.windows import (
    Windowed,
    check_lag,
    ended,
    predicted,
    values_of,
    weights_of,
)

Floats = NDArray[np.float32]
#: Neighbours (S, K, T, C) and squared distances (S, K) of windows (S, T, C).
Find = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class RefinedFrame:
    """One refined frame, and what the refiner knows of its worth (`poise_models.base.clip`).

    Attributes:
        pose_C: (C,).
        quality: in (0, 1].
        error_J: how far off each joint is expected to be, in the pose's unit.
    """

    pose_C: Tensor
    quality: float | None = None
    error_J: Tensor | None = None


class Stream(ABC):
    """One person's frames, refined `lag` frames later; a frame costs the same however many came."""

    def __init__(self, refiner: Refiner, lag: int) -> None:
        self.refiner = refiner
        self.lag = lag

    def push(self, frame_C: Tensor, step: float = 1.0) -> RefinedFrame | None:
        """Take the next frame, and answer the one `lag` frames ago; None while there is none.

        Args:
            frame_C: detected, NaN where a joint was not seen.
            step: frames since the last one: more than 1 where frames were dropped. Filters go by
                it; networks know frames in order only.

        Raises:
            ShapeError: the frame does not fit the refiner, or does not come after the last.
        """
        return push_together([self], [frame_C], [step])[0]

    @abstractmethod
    def finish(self) -> Refined:
        """Answer the frames that are left, at most `lag`; the stream begins anew after that."""

    def check(self, frame_C: Tensor, step: float) -> None:
        """Refuse a frame that does not fit."""
        channels = self.refiner.spec.channels
        if frame_C.shape != (channels,):
            raise ShapeError(
                f"{self.refiner.name} wants frames of {channels} numbers, "
                f"and got one of shape {tuple(frame_C.shape)}"
            )
        if not 0 < step < float("inf"):
            raise ShapeError(f"step must be above 0, not {step}: frames come one after another")


def open_stream(refiner: Refiner, lag: int, find: Find | None = None) -> Stream:
    """Begin a stream.

    Args:
        refiner: a network, or a filter that can run live; streams share it.
        lag: how many later frames each frame waits for, 0 .. T - 1 for windows of T frames.
        find: finds the neighbours of windows, for networks that read them; None has every window
            stand in for its own, at distance 1.

    Raises:
        ConfigError: the refiner cannot run live, or not at this lag.
    """
    if isinstance(refiner, WindowRefiner | Linear):
        return WindowStream(refiner, lag, find)
    assert isinstance(refiner, SequenceRefiner)  # noqa: S101  (there are no others)
    return FilterStream(refiner, lag)


@torch.inference_mode()
def push_together(
    streams: Sequence[Stream], frames: Sequence[Tensor], steps: Sequence[float] | None = None
) -> list[RefinedFrame | None]:
    """Push a frame (C,) into each of several streams, whose windows share one call of the network.

    Each answers as `Stream.push` alone would. A stream that is named twice takes its frames in
    order.

    Raises:
        ConfigError: the streams are of different refiners.
        ShapeError: a frame does not fit; no stream has taken one then.
    """
    if len({id(stream.refiner) for stream in streams}) > 1:
        raise ConfigError("streams that are pushed together are of one refiner")
    steps = [1.0] * len(streams) if steps is None else steps
    for stream, frame_C, step in zip(streams, frames, steps, strict=True):
        stream.check(frame_C, step)
    by_windows = [stream for stream in streams if isinstance(stream, WindowStream)]
    if not by_windows:
        triples = zip(streams, frames, steps, strict=True)
        return [s.answer(frame, step) for s, frame, step in triples if isinstance(s, FilterStream)]
    asked = [stream.take(frame) for stream, frame in zip(by_windows, frames, strict=True)]
    known = _asked([one for one in asked if one is not None], by_windows[0])
    rows = count()
    return [
        None if one is None else stream.due(known, next(rows))
        for stream, one in zip(by_windows, asked, strict=True)
    ]


@dataclass(frozen=True)
class Question:
    """A window (T, C) that the network is asked about; `whole`: all of its frames came."""

    window_TC: Floats
    whole: bool


class WindowStream(Stream):
    """A stream through a network on windows: it keeps one window, and sums of what was refined.

    One frame of one person is too little for torch, whose calls cost more than the numbers here.
    """

    def __init__(self, refiner: Windowed, lag: int, find: Find | None = None) -> None:
        super().__init__(refiner, lag)
        check_lag(refiner, lag)
        refiner.eval()
        self.windowed = refiner
        self.find = find
        #: Of a window's last frames: the others are answered when it comes.
        self._weights_L: Floats = weights_of(refiner).numpy(force=True)[-lag - 1 :]
        self._cover_L = self._weights_L
        self.window_TC: Floats = np.empty((0, 0), np.float32)
        self._begin()

    def take(self, frame_C: Tensor) -> "Question | None":
        """Put a frame at the end of the window; ask about it where a frame is due."""
        pose_C = frame_C.float().numpy(force=True)
        if self.taken == 0:
            self.window_TC = np.broadcast_to(pose_C, (self.windowed.window, len(pose_C)))
        if not self.windowed.takes_missing:
            pose_C = np.where(np.isnan(pose_C), self.window_TC[-1], pose_C)
        self.window_TC = np.concatenate([self.window_TC[1:], pose_C[None]])
        self.taken += 1
        if self.taken <= self.lag:
            return None
        return Question(self.window_TC, self.taken >= self.windowed.window)

    def due(self, known: Mapping[str, Floats], row: int) -> RefinedFrame:
        """The frame that has waited for `lag` frames, with what the last window gives.

        Args:
            known: by name, (S, T, ...).
            row: the window's.
        """
        fresh = not self._sums
        self._cover_L = self._weights_L if fresh else _moved(self._cover_L, self._weights_L)
        for name, values_STX in known.items():
            values_LX = values_STX[row, -self.lag - 1 :]
            weighted_LX = _along(self._weights_L, values_LX) * values_LX
            self._sums[name] = weighted_LX if fresh else _moved(self._sums[name], weighted_LX)
        mean = {name: sums_LX[0] / self._cover_L[0] for name, sums_LX in self._sums.items()}
        quality = mean.get("quality")
        error_J = mean.get("error")
        return RefinedFrame(
            torch.from_numpy(mean["poses"]),
            None if quality is None else float(quality),
            None if error_J is None else torch.from_numpy(error_J),
        )

    @torch.inference_mode()
    def finish(self) -> Refined:
        """Answer the frames that are left, at most `lag`; the stream begins anew after that."""
        length, left = self.windowed.window, min(self.lag, self.taken)
        if self.taken and self.taken <= self.lag:
            here_FC = torch.from_numpy(self.window_TC[length - self.taken :])
            whole_TC = ended(here_FC, length).numpy()
            known = _asked([Question(whole_TC, whole=True)], self)
            values = {name: values_1TX[0, :left] for name, values_1TX in known.items()}
        elif self._sums:
            values = {
                name: sums_LX[1:] / _along(self._cover_L[1:], sums_LX)
                for name, sums_LX in self._sums.items()
            }
        else:
            values = {"poses": np.zeros((0, self.refiner.spec.channels), np.float32)}
        self._begin()
        return Refined(*values_of({name: torch.from_numpy(one) for name, one in values.items()}))

    def _begin(self) -> None:
        self.taken = 0
        self._sums: dict[str, Floats] = {}


def _moved(sums_LX: Floats, more_LX: Floats) -> Floats:
    """Sums for the window that ends a frame later, and has more to give."""
    moved_LX = more_LX.copy()
    moved_LX[:-1] += sums_LX[1:]
    return moved_LX


def _along(weights_L: Floats, values_LX: Floats) -> Floats:
    """Weights of frames beside what is known of each."""
    return weights_L.reshape(-1, *[1] * (values_LX.ndim - 1))


def _asked(questions: Sequence[Question], stream: "WindowStream") -> dict[str, Floats]:
    """What the network of a stream makes of windows, (S, T, ...); whole ones have neighbours."""
    if not questions:
        return {}
    refiner, find = stream.windowed, stream.find
    windows_STC = torch.from_numpy(np.stack([question.window_TC for question in questions]))
    near_SKTC = windows_STC[:, None].expand(-1, refiner.neighbours, -1, -1)
    far_SK = windows_STC.new_ones(near_SKTC.shape[:2])
    rows = [row for row, question in enumerate(questions) if question.whole]
    if find is not None and rows:
        near_SKTC = near_SKTC.clone()
        near_SKTC[rows], far_SK[rows] = find(windows_STC[rows])
    known = predicted(refiner, windows_STC, near_SKTC, far_SK)
    return {name: values.numpy(force=True) for name, values in known.items()}


class FilterStream(Stream):
    """A stream through a filter that looks only back."""

    def __init__(self, refiner: SequenceRefiner, lag: int) -> None:
        super().__init__(refiner, lag)
        if lag < 0:
            raise ConfigError(f"{refiner.name}: lag must not be negative")
        self.filter = refiner
        self._begin()

    def answer(self, frame_C: Tensor, step: float) -> RefinedFrame | None:
        """Take a frame that was checked, and answer the one `lag` frames ago."""
        self._ready.extend(self._causal.push(frame_C.numpy(force=True), step))
        self._waiting += 1
        if self._waiting <= self.lag:
            return None
        self._waiting -= 1
        return RefinedFrame(self._calibrated(self._ready.popleft()))

    def finish(self) -> Refined:
        """Answer the frames that are left, at most `lag`; the stream begins anew after that."""
        rest = [*self._ready, *self._causal.finish()]
        self._begin()
        none = np.zeros((0, self.refiner.spec.channels), dtype=np.float32)
        return Refined(self._calibrated(np.stack(rest) if rest else none))

    def whole(self, clip: Clip) -> Refined:
        """All frames of a clip, one after another."""
        frames_FC = clip.detected_FC
        steps = np.diff(elapsed(len(frames_FC), clip.times_F), prepend=-1.0).tolist()
        pairs = zip(frames_FC, steps, strict=True)
        answered = [self.answer(frame_C, step) for frame_C, step in pairs]
        first = [one.pose_C[None] for one in answered if one is not None]
        return Refined(torch.cat([*first, self.finish().poses_FC]).to(frames_FC))

    def _calibrated(self, poses: NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(poses) - self.refiner.constant_C.cpu()

    def _begin(self) -> None:
        self._causal = self.filter.start(self.lag)
        self._ready: deque[NDArray[np.float32]] = deque()
        self._waiting = 0
