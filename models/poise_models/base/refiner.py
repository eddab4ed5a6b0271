"""The one interface behind which every method of the paper stands.

A refiner maps detected poses to refined poses, sequence by sequence. Two families exist:
`SequenceRefiner` sees a whole sequence (filters, the input row), `WindowRefiner` sees windows of T
frames and is averaged back to a sequence by SWAA (networks). Both are ``nn.Module``, so moving to a
device, counting weights and saving them needs no second mechanism.
"""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from poise_models.base.clip import Clip, Refined
from poise_models.base.pose_spec import PoseSpec
from poise_models.base.windows import overlap_add
from poise_models.errors import ConfigError, ShapeError


class Refiner(nn.Module):
    """Base of all refiners: detected sequences in, refined sequences out."""

    #: What plans and the command line call it.
    name: ClassVar[str]
    #: What tables call it.
    title: ClassVar[str]
    #: Whether it has to be trained before it is of use.
    learns: ClassVar[bool] = False
    #: Whether it takes joints that were not seen as NaN, and wants to be trained with such.
    takes_missing: ClassVar[bool] = False

    def __init__(self, spec: PoseSpec, config: Any) -> None:
        super().__init__()
        self.spec = spec
        self.config = config
        #: What is taken off every refined pose: a person's constant, see `calibration`.
        self.register_buffer("constant_C", torch.zeros(spec.channels), persistent=False)
        self.constant_C: Tensor

    def settings(self) -> dict[str, Any]:
        """The configuration as plain values, for a checkpoint or a tracking server."""
        return asdict(self.config)

    def parameter_count(self) -> int:
        """Weights that receive a gradient."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)

    def check(self, clip: Clip) -> None:
        """Check a clip's shape and times.

        Raises:
            ShapeError: the clip has no frames, or other joints than the refiner was built for, or
                its times do not increase.
        """
        shape = tuple(clip.detected_FC.shape)
        if len(shape) != 2 or shape[0] == 0 or shape[1] != self.spec.channels:
            raise ShapeError(
                f"{self.name} was built for {self.spec.joints} joints x {self.spec.dims} = "
                f"{self.spec.channels} numbers a frame, and got a clip of shape {shape}"
            )
        times = clip.times_F
        if times is None:
            return
        if times.shape != shape[:1] or not (times.isfinite().all() and (times.diff() > 0).all()):
            raise ShapeError(
                f"{self.name}: times_F must be {shape[0]} frame numbers, each above the last"
            )

    def centre_of(self, detected_BTC: Tensor) -> Tensor:
        """What a window is seen relative to, (B, 1, C): its mean detected root, or zero.

        `PoseSpec.centre` says which of the two.
        """
        if not self.spec.centre:
            return detected_BTC.new_zeros(1, 1, 1)
        batch, length, _ = detected_BTC.shape
        joints = detected_BTC.reshape(batch, length, self.spec.joints, self.spec.dims)
        root = joints[:, :, list(self.spec.roots)].mean(dim=(1, 2))
        return root.repeat(1, self.spec.joints).unsqueeze(1)

    @abstractmethod
    def refine(self, clips: Sequence[Clip]) -> list[Refined]:
        """Refine sequences. Frames out equal frames in, and no clip influences another."""


class Causal(Protocol):
    """A filter at work on one stream, with what it remembers of it."""

    def push(self, frame_C: NDArray[np.float32], step: float) -> list[NDArray[np.float32]]:
        """Take the next frame, ``step`` frames after the last; NaN where a joint was not seen.

        Returns:
            The frames that are refined for good now, oldest first; none has waited longer than
            the lag the stream was begun with.
        """

    def finish(self) -> list[NDArray[np.float32]]:
        """The frames that are left."""


class SequenceRefiner(Refiner):
    """A refiner that sees one whole sequence at a time."""

    def start(self, lag: int) -> Causal:
        """Begin a stream, each frame of which may wait for ``lag`` later ones.

        Raises:
            ConfigError: the filter looks ahead further than any lag.
        """
        raise ConfigError(
            f"{self.name} looks at the whole sequence and cannot run live; oneeuro, butterworth "
            "(one pass forward), linear and every network can"
        )

    @abstractmethod
    def filter(self, detected_FC: Tensor, times_F: Tensor | None = None) -> Tensor:
        """Map (F, C) to (F, C); ``times_F`` are frame numbers where frames are missing."""

    def refine(self, clips: Sequence[Clip]) -> list[Refined]:
        """Filter every clip; disagreeing windows are averaged first, as the paper's input row."""
        refined = []
        for clip in clips:
            self.check(clip)
            sequence = clip.detected_FC
            if clip.windows_NTC is not None:
                sequence = overlap_add(clip.windows_NTC, len(sequence))
            refined.append(Refined(self.filter(sequence, clip.times_F) - self.constant_C))
        return refined


class Pair(NamedTuple):
    """A sequence to learn from, as detected and in truth, (F, C) both, and whose it is."""

    subject: str
    detected_FC: Tensor
    truth_FC: Tensor


class ClosedFormRefiner(SequenceRefiner):
    """A refiner that learns from all training sequences in one go, without gradients."""

    learns = True

    @abstractmethod
    def fit(self, pairs: Iterable[Pair]) -> None:
        """Learn from sequences, which are gone through once."""
