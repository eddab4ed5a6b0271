"""Takes seen by several cameras: windows of all views at once, and one camera held out.

A take is what all cameras of one moment share (see `poise.readers.image_names`): Human3.6M's
``S9/Directions`` over its four cameras, an AIST++ clip over its nine.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from poise.runtime.errors import LakeError
from poise.training_data.noise import detected_anew
from poise.training_data.split import TrackSplit
from poise_models.base.batch import Batch
from poise_models.base.clip import Clip

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Views:
    """Windows of several views; N follows the order of the cameras.

    Attributes:
        detected_BNTC: what the estimator saw from each camera.
        truth_BNTC: ground truth in each camera's frame, None where the split has none.
    """

    detected_BNTC: Tensor
    truth_BNTC: Tensor | None


@dataclass(frozen=True)
class MultiView:
    """The takes of a split that all of some cameras saw, frame by frame at the same time.

    Attributes:
        split: where the poses are.
        cameras: the views, N of them.
        takes: M names.
        rows_MN: sequence of the split of each take and camera.
        lengths_M: frames that all views of a take have.
    """

    split: TrackSplit
    cameras: tuple[str, ...]
    takes: tuple[str, ...]
    rows_MN: Tensor
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
        rows_MN = torch.tensor([[views[camera] for camera in wanted] for views in whole.values()])
        lengths_MN = torch.from_numpy(split.index.frames_S)[rows_MN]
        lengths_M = lengths_MN.amin(1)
        cut = int((lengths_MN - lengths_M[:, None]).sum())
        if cut:
            takes = int((lengths_MN != lengths_M[:, None]).any(1).sum())
            log.warning(
                "%s: cut %d frames off the ends of %d takes whose views differ in length",
                split.track,
                cut,
                takes,
            )
        return cls(split, wanted, tuple(whole), rows_MN, lengths_M)

    def hold_out(self, camera: str) -> tuple[Self, Self]:
        """Return the views of all other cameras, and those of this one; the takes are the same.

        Window i is the same moment in both.

        Raises:
            LakeError: there is no such camera, or no other.
        """
        if camera not in self.cameras or len(self.cameras) < 2:
            raise LakeError(
                f"{self.split.track}: cannot hold out camera {camera} of {', '.join(self.cameras)}"
            )
        place = self.cameras.index(camera)
        others = [other for other in range(len(self.cameras)) if other != place]
        return self._only(others), self._only([place])

    def windows(self, length: int, device: str = "cpu") -> "MultiViewTraining":
        """Its training windows, resident on a device; raise `LakeError` without ground truth."""
        return MultiViewTraining(self, length, device)

    def clips(self) -> list[Clip]:
        """All views of a take in the order of the cameras and of one length, take after take."""
        return [Clip(one) for one in self._cut(self.split.detected_FC)]

    def truths(self) -> list[Tensor]:
        """Ground truth of `clips`, (F, C) each; raise `LakeError` where there is none."""
        return self._cut(self.split.truth)

    def _cut(self, poses_FC: Tensor) -> list[Tensor]:
        first_MN = self.split.first_S[self.rows_MN.numpy()].tolist()
        return [
            poses_FC[first : first + length]
            for first_N, length in zip(first_MN, self.lengths_M.tolist(), strict=True)
            for first in first_N
        ]

    def _only(self, places: Sequence[int]) -> Self:
        cameras = tuple(self.cameras[place] for place in places)
        return replace(self, cameras=cameras, rows_MN=self.rows_MN[:, list(places)])


class MultiViewWindows:
    """Windows of all views of the takes, resident on a device, gathered by number."""

    def __init__(self, views: MultiView, length: int, device: str = "cpu") -> None:
        split = views.split
        count_M = (views.lengths_M - length + 1).clamp(min=0)
        if int(count_M.sum()) == 0:
            raise LakeError(f"{split.track}: no take has {length} frames")
        first_NM = torch.from_numpy(split.first_S)[views.rows_MN].T
        take_I = torch.repeat_interleave(torch.arange(len(count_M)), count_M)
        begins_M = count_M.cumsum(0) - count_M
        within_I = torch.arange(len(take_I)) - begins_M[take_I]
        self.start_IN = (first_NM[:, take_I] + within_I).T.contiguous().to(device)
        self.take_I = take_I.to(device)
        self.step_T = torch.arange(length, device=device)
        self.detected_FC = split.detected_FC.to(device)
        self.truth_FC = None if split.truth_FC is None else split.truth_FC.to(device)

    def __len__(self) -> int:
        """Number of windows; each has all views."""
        return len(self.start_IN)

    def batch(self, index_B: Tensor) -> Views:
        """Gather windows by number."""
        frame_BNT = self.start_IN[index_B][..., None] + self.step_T
        truth_FC = self.truth_FC
        return Views(self.detected_FC[frame_BNT], None if truth_FC is None else truth_FC[frame_BNT])


class MultiViewTraining:
    """Training windows of all views of a moment (a `WindowSource`), without neighbours."""

    def __init__(self, views: MultiView, length: int, device: str = "cpu") -> None:
        if views.split.truth_FC is None:
            raise LakeError(f"{views.split.track}: training needs ground truth, and there is none")
        self.track = views.split.track
        self.moments = MultiViewWindows(views, length, device)

    def __len__(self) -> int:
        """Number of windows; each has all views."""
        return len(self.moments)

    def order(self, generator: torch.Generator) -> Tensor:
        """Return the window numbers of an epoch, shuffled, (N,)."""
        return torch.randperm(len(self), generator=generator, device=generator.device)

    def batch(self, index_B: Tensor, generator: torch.Generator) -> Batch:
        """Gather windows by number, (B, V, T, C); noise is drawn anew every time, for each view."""
        views = self.moments.batch(index_B)
        assert views.truth_BNTC is not None  # noqa: S101  (looked at when it was built)
        detected_BVTC = detected_anew(views.detected_BNTC, views.truth_BNTC, self.track, generator)
        return Batch.without_neighbours(detected_BVTC, views.truth_BNTC)


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
