"""Takes seen by several cameras: windows of all views at once.

A take is what all cameras of one moment share (see `poise.readers.image_names`): Human3.6M's
``S9/Directions`` over its four cameras, an AIST++ clip over its nine.

Shape letters: M takes, V views, I windows of all views, B of a batch, T frames of a window, F
frames of all sequences, C values of a frame.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from poise.lake.ids import ranges
from poise.runtime.errors import LakeError
from poise.training_data.noise import DrawnAnew
from poise.training_data.split import TrackSplit
from poise_models.base.batch import Batch
from poise_models.base.clip import Clip

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MultiView:
    """The takes of a split that all of some cameras saw, frame by frame at the same time.

    Attributes:
        split: where the poses are.
        cameras: the views, V of them.
        takes: M names.
        rows_MV: sequence of the split of each take and camera.
        lengths_M: frames that all views of a take have.
    """

    split: TrackSplit
    cameras: tuple[str, ...]
    takes: tuple[str, ...]
    rows_MV: Tensor
    lengths_M: Tensor

    @classmethod
    def of(cls, split: TrackSplit, cameras: Sequence[str] | None = None) -> Self:
        """Group the sequences of a split by take.

        A take that one of the cameras has not seen is left out. Where views differ in length, all
        end with the shortest: cameras start together, and some stop a frame early. The log counts
        both.

        Args:
            split: of a track whose image names tell takes and cameras.
            cameras: in this order; all of the split, sorted, where None.

        Raises:
            LakeError: no take was seen by all cameras, fewer than two cameras, or one camera has
                two sequences of a take.
        """
        found = _by_take(split)
        seen = sorted({camera for views in found.values() for camera in views})
        wanted = tuple(seen if cameras is None else cameras)
        if len(set(wanted)) != len(wanted) or len(wanted) < 2:
            raise LakeError(
                f"{split.track}: several views need two different cameras or more, got "
                f"{', '.join(wanted) or 'none'}; its image names tell {', '.join(seen) or 'none'}"
            )
        whole = {take: views for take, views in found.items() if set(wanted) <= set(views)}
        if not whole:
            raise LakeError(
                f"{split.track}: no take was seen by all of {', '.join(wanted)}; "
                f"there are {', '.join(seen) or 'no cameras'}"
            )
        if len(whole) < len(found):
            log.warning(
                "%s: left out %d of %d takes, which not all of %s saw",
                split.track,
                len(found) - len(whole),
                len(found),
                ", ".join(wanted),
            )
        rows_MV = torch.tensor([[views[camera] for camera in wanted] for views in whole.values()])
        return cls(split, wanted, tuple(whole), rows_MV, _common_length(split, rows_MV))

    def windows(self, length: int, device: str = "cpu") -> "MultiViewWindows":
        """Its training windows, resident on a device; raise `LakeError` without ground truth."""
        return MultiViewWindows(self, length, device)

    def clips(self) -> list[Clip]:
        """All views of a take in the order of the cameras and of one length, take after take."""
        return [Clip(one) for one in self._cut(self.split.detected_FC)]

    def truths(self) -> list[Tensor]:
        """Ground truth of `clips`, (F, C) each; raise `LakeError` where there is none."""
        return self._cut(self.split.truth)

    def untrue_joints(self, names: Sequence[str]) -> dict[str, Tensor]:
        """The joints (F, J) of `truths` that are not scored, by the names given to the clips."""
        untrue, own = self.split.untrue_joints(), self.split.index.names
        lengths = self.lengths_M.repeat_interleave(len(self.cameras)).tolist()
        views = zip(names, self.rows_MV.flatten().tolist(), lengths, strict=True)
        return {name: untrue[own[row]][:n] for name, row, n in views if own[row] in untrue}

    def _cut(self, poses_FC: Tensor) -> list[Tensor]:
        first_MV = self.split.first_S[self.rows_MV.numpy()].tolist()
        return [
            poses_FC[first : first + length]
            for first_V, length in zip(first_MV, self.lengths_M.tolist(), strict=True)
            for first in first_V
        ]


class MultiViewWindows:
    """Training windows of all views of a moment (a `WindowSource`), without neighbours."""

    def __init__(self, views: MultiView, length: int, device: str = "cpu") -> None:
        """Move the poses to the device, and list the windows.

        Raises:
            LakeError: the split has no ground truth, or no take has so many frames.
        """
        split = views.split
        truth_FC = split.truth
        count_M = np.maximum(views.lengths_M.numpy() - length + 1, 0)
        if not count_M.any():
            raise LakeError(f"{split.track}: no take has {length} frames")
        starts = [ranges(first_M, count_M) for first_M in split.first_S[views.rows_MV.T.numpy()]]
        self._anew = DrawnAnew(split.track, device)
        self.start_IV = torch.from_numpy(np.stack(starts, axis=1)).to(device)
        self.step_T = torch.arange(length, device=device)
        self.detected_FC, self.truth_FC = split.detected_FC.to(device), truth_FC.to(device)

    def __len__(self) -> int:
        """Number of windows; each has all views."""
        return len(self.start_IV)

    def order(self, generator: torch.Generator) -> Tensor:
        """Return the window numbers of an epoch, shuffled, (I,)."""
        return torch.randperm(len(self), generator=generator, device=generator.device)

    def batch(self, index_B: Tensor, generator: torch.Generator) -> Batch:
        """Gather windows by number, (B, V, T, C); noise is drawn anew every time, for each view."""
        frame_BVT = self.start_IV[index_B][..., None] + self.step_T
        truth_BVTC = self.truth_FC[frame_BVT]
        detected_BVTC = self._anew(self.detected_FC[frame_BVT], truth_BVTC, generator)
        return Batch.without_neighbours(detected_BVTC, truth_BVTC)


def _by_take(split: TrackSplit) -> dict[str, dict[str, int]]:
    index = split.index
    found: dict[str, dict[str, int]] = {}
    for row, (take, camera) in enumerate(zip(index.takes, index.cameras, strict=True)):
        if take is None or camera is None:
            continue
        views = found.setdefault(take, {})
        if camera in views:
            raise LakeError(
                f"{split.track}: {index.names[views[camera]]} and {index.names[row]} are both of "
                f"take {take}, camera {camera}; views of several people cannot be told apart"
            )
        views[camera] = row
    return found


def _common_length(split: TrackSplit, rows_MV: Tensor) -> Tensor:
    """Return the frames that all views of a take have, (M,)."""
    lengths_MV = torch.from_numpy(split.index.frames_S)[rows_MV]
    lengths_M = lengths_MV.amin(1)
    over_MV = lengths_MV - lengths_M[:, None]
    if over_MV.any():
        frames, takes = int(over_MV.sum()), int(over_MV.any(1).sum())
        log.warning(
            "%s: cut %d frames off the ends of %d takes whose views differ in length",
            split.track,
            frames,
            takes,
        )
    return lengths_M
