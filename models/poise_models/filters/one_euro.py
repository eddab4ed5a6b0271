"""One-Euro: a causal low-pass that follows fast motion and calms slow motion."""

from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from poise_models.base.refiner import Causal, SequenceRefiner
from poise_models.errors import ConfigError
from poise_models.filters.even import Calmed, Floats
from poise_models.filters.gaps import Held, elapsed, filled


@dataclass(frozen=True)
class OneEuroConfig:
    """Published settings; frequencies are per frame, ``beta`` is per unit of the track."""

    min_cutoff: float = 0.04
    beta: float = 0.7
    derivative_cutoff: float = 1.0

    def __post_init__(self) -> None:
        if min(self.min_cutoff, self.derivative_cutoff) <= 0 or self.beta < 0:
            raise ConfigError("oneeuro: cutoffs must be positive and beta not negative")


class OneEuro(SequenceRefiner):
    """One-Euro: a causal low-pass whose cutoff rises with speed. The first frame passes through.

    The speed is measured from the filtered previous frame, and of 3D poses relative to their root,
    as in the published comparison: a walking person's hand is not fast because the person is. The
    root is filtered by itself and put back. For the linear filters that makes no difference.
    """

    name = "oneeuro"
    title = "One-Euro"
    config: OneEuroConfig

    def filter(self, detected_FC: Tensor, times_F: Tensor | None = None) -> Tensor:
        """Filter (F, C) forward in time, all coordinates at once."""
        raw_FC = filled(detected_FC, times_F)
        # NumPy: on one frame's numbers a call costs a third of what it does in torch.
        frames = self.apart(raw_FC.numpy(force=True))
        calmed = Calmed(**asdict(self.config))
        steps = np.diff(elapsed(len(frames), times_F), prepend=-1.0).tolist()
        smooth = np.stack(
            [calmed.after(frame, step) for frame, step in zip(frames, steps, strict=True)]
        )
        return torch.from_numpy(self.together(smooth)).to(raw_FC)

    def start(self, lag: int) -> Causal:
        """Begin a stream; it looks only back, so the lag changes nothing."""
        return _Live(self)

    def apart(self, frames_FC: Floats) -> Floats:
        """Of 3D frames (..., C) joints relative to the root, and the root at the end."""
        if not self.spec.centre:
            return frames_FC
        frames_FJD = frames_FC.reshape(*frames_FC.shape[:-1], self.spec.joints, self.spec.dims)
        root_F1D = frames_FJD[..., list(self.spec.roots), :].mean(axis=-2, keepdims=True)
        apart_FJD = np.concatenate([frames_FJD - root_F1D, root_F1D], axis=-2)
        return apart_FJD.reshape(*frames_FC.shape[:-1], -1)

    def together(self, apart_FC: Floats) -> Floats:
        """The frames (..., C) that `apart` took apart."""
        if not self.spec.centre:
            return apart_FC
        apart_FJD = apart_FC.reshape(*apart_FC.shape[:-1], -1, self.spec.dims)
        together_FJD = apart_FJD[..., :-1, :] + apart_FJD[..., -1:, :]
        return together_FJD.reshape(*apart_FC.shape[:-1], -1)


class _Live:
    """One-Euro on a stream: what is not seen stays what it was seen as last."""

    def __init__(self, refiner: OneEuro) -> None:
        self.refiner = refiner
        self.held = Held()
        self.calmed = Calmed(**asdict(refiner.config))

    def push(self, frame_C: Floats, step: float) -> list[Floats]:
        """The frame, filtered; NaN until its joints, and in 3D its root, have been seen."""
        apart_C = self.refiner.apart(self.held.after(frame_C))
        calmed = self.calmed
        if calmed.smooth_C is not None and calmed.speed_C is not None:
            new_C = np.isnan(calmed.smooth_C)
            if new_C.any():
                calmed.smooth_C = np.where(new_C, apart_C, calmed.smooth_C)
                calmed.speed_C = np.where(new_C, np.float32(0), calmed.speed_C)
        return [self.refiner.together(calmed.after(apart_C, step))]

    def finish(self) -> list[Floats]:
        """Nothing waits."""
        return []
