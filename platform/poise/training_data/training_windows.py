"""The training windows of a split in memory: gathered by number, without a loop in Python.

Shape letters: S sequences, F frames of all of them, N windows, B of a batch, T frames of a window,
C values of a frame.
"""

import numpy as np
import torch
from torch import Tensor

from poise.lake.ids import ranges
from poise.pvd.pose_bank import PoseBank
from poise.runtime.errors import LakeError
from poise.training_data.neighbour_draw import NeighbourDraw
from poise.training_data.noise import DrawnAnew
from poise.training_data.split import TrackSplit
from poise.training_data.varied_motion import VariedMotion
from poise_models.base.batch import Batch


class TrainingWindows:
    """Training windows of any length, resident on the device (a `WindowSource`)."""

    def __init__(
        self,
        split: TrackSplit,
        length: int,
        bank: PoseBank | None,
        device: str = "cpu",
        missing: bool = False,
        images: bool = False,
    ) -> None:
        """Gather windows, where there is a bank with a neighbour each.

        ``missing`` is as in `DrawnAnew`. With ``images``, as always in 2D, windows of a track of
        simulated estimators are seen in images of cameras that are drawn, too (`Camera`).

        Raises:
            LakeError: no sequence is long enough, or the split has no ground truth.
        """
        count_S = np.maximum(split.index.frames_S - length + 1, 0)
        if not count_S.any():
            raise LakeError(f"{split.track}: no training sequence has {length} frames")
        self.start_N = torch.from_numpy(ranges(split.first_S, count_S)).to(device)
        self.step_T = torch.arange(length, device=device)
        self.detected_FC = split.detected_FC.to(device)
        truth_FC = split.truth
        self.draw: NeighbourDraw | None = None
        if bank is not None and split.neighbours is not None:
            row_N = ranges(split.first_window_S, count_S)
            self.draw = NeighbourDraw(bank, split.neighbours, device, row_N)
            if bank.truth_FC is truth_FC:  # one copy on the device does for both
                truth_FC = self.draw.bank.truth_FC
        self.truth_FC = truth_FC.to(device)
        self._anew = DrawnAnew(split.track, device, missing)
        self._images = images or split.space_FC is not None
        self._motion: VariedMotion | None = None
        if self._anew.simulator is not None and self.draw is None:
            # Neighbours are of the motion as it was recorded: with them it stays so.
            motion_FC = self.truth_FC if split.space_FC is None else split.space_FC.to(device)
            self._motion = VariedMotion(motion_FC, split.track.stored, length, self._images)
            last_S = split.first_S + split.index.frames_S - 1
            self._first_N, self._last_N = (
                torch.from_numpy(np.repeat(ends_S, count_S)).to(device)
                for ends_S in (split.first_S, last_S)
            )

    def __len__(self) -> int:
        """Number of windows."""
        return len(self.start_N)

    def order(self, generator: torch.Generator) -> Tensor:
        """Return the window numbers of an epoch, shuffled, (N,)."""
        return torch.randperm(len(self), generator=generator, device=generator.device)

    def batch(self, index_B: Tensor, generator: torch.Generator) -> Batch:
        """Gather windows by number; noise and neighbour are drawn anew every time.

        On a track of simulated estimators, so is the motion, about the window of that number.
        """
        if self._motion is not None:
            ends_B = self._first_N[index_B], self._last_N[index_B]
            truth_BTJD = self._motion.windows(self.start_N[index_B], *ends_B, generator)
            if self._images:
                return Batch.without_neighbours(*self._anew.images(truth_BTJD, generator))
            truth_BTC = truth_BTJD.flatten(2)
            return Batch.without_neighbours(self._anew(truth_BTC, truth_BTC, generator), truth_BTC)
        frame_BT = self.start_N[index_B, None] + self.step_T
        truth_BTC = self.truth_FC[frame_BT]
        detected_BTC = self._anew(self.detected_FC[frame_BT], truth_BTC, generator)
        if self.draw is None:
            return Batch.without_neighbours(detected_BTC, truth_BTC)
        return self.draw.with_neighbours(detected_BTC, truth_BTC, index_B, generator)
