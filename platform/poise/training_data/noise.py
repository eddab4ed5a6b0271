"""The errors of denoise tracks, which training draws anew every time.

Shape letters: B windows, T frames, C = J x D channels of J joints.
"""

import torch
from torch import Tensor

from poise.catalog.tracks import SIMULATED_SKELETON, Noise, Track
from poise.readers.simulated.estimator import EstimatorSimulator, Seen
from poise.runtime.errors import TrackError
from poise.training_data.joint_subsets import JointSubsets
from poise_retrieval.geometry.skeletons import SKELETONS


class DrawnAnew:
    """Makes the detected windows of training: on denoise tracks, of truth, anew every time."""

    def __init__(self, track: Track, device: str, missing: bool = False) -> None:
        """Prepare for a track.

        Args:
            track: any; where it is no denoise track, windows stay as they were detected.
            device: of the training.
            missing: whether the network takes joints that were not seen as NaN; of some windows
                it then sees a detector's joints alone. Else all are filled along time.
        """
        # Images show a camera's view of a take: they are drawn anew with the motion, or not at all.
        self._noise = track.info.noise if track.stored == track else None
        self._joints = track.info.joints
        self.simulator = _simulator(track, device)
        self._subsets = JointSubsets(SKELETONS[SIMULATED_SKELETON], device) if missing else None

    def __call__(
        self, detected_BTC: Tensor, truth_BTC: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Return windows (..., T, C) as detected; on a denoise track, truth with new errors."""
        if self._noise is None:
            return detected_BTC
        if self.simulator is None:
            return truth_BTC + _draw(truth_BTC, self._noise, generator)
        truth_BTJD = truth_BTC.flatten(0, -3).unflatten(-1, (self._joints, -1))
        seen = self.simulator.detect(truth_BTJD, generator)
        return self._given(seen, generator).reshape_as(truth_BTC)

    def images(self, truth_BTJD: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return windows (B, T, C) as detected in images, and the truth there.

        Args:
            truth_BTJD: of a track of simulated estimators, in metres, y up.
            generator: of all that is drawn.
        """
        assert self.simulator is not None  # noqa: S101
        image_BTJD, seen = self.simulator.detect_images(truth_BTJD, generator)
        return self._given(seen, generator).flatten(2), image_BTJD.flatten(2)

    def _given(self, seen: Seen, generator: torch.Generator) -> Tensor:
        """Leave gaps to networks that take them, and fill them for others."""
        if self._subsets is not None:
            return self._subsets(seen.poses_BTJD, generator)
        return filled(seen.poses_BTJD)


def filled(poses_BTJD: Tensor) -> Tensor:
    """Put numbers where windows (B, T, J, D) are NaN, as reading does, on any device.

    A joint goes straight between the frames that show it; one that no frame shows is put in the
    middle of the others, or at 0 where there are none.
    """
    frames = poses_BTJD.shape[1]
    lost_BTJ = poses_BTJD.isnan().any(-1)
    time_T1 = torch.arange(frames, device=poses_BTJD.device)[:, None]
    before_BTJ = time_T1.where(~lost_BTJ, -1).cummax(1).values
    after_BTJ = time_T1.where(~lost_BTJ, frames).flip(1).cummin(1).values.flip(1)
    never_BTJ = (before_BTJ < 0) & (after_BTJ == frames)
    first_BTJ = torch.where(before_BTJ < 0, after_BTJ, before_BTJ).clamp(max=frames - 1)
    last_BTJ = torch.where(after_BTJ == frames, before_BTJ, after_BTJ).clamp(min=0)
    share_BTJ = (time_T1 - first_BTJ) / (last_BTJ - first_BTJ).clamp(min=1)
    from_BTJD, to_BTJD = (
        poses_BTJD.gather(1, at_BTJ[..., None].expand_as(poses_BTJD))
        for at_BTJ in (first_BTJ, last_BTJ)
    )
    between_BTJD = from_BTJD + share_BTJ[..., None] * (to_BTJD - from_BTJD)
    whole_BTJD = torch.where(lost_BTJ[..., None], between_BTJD, poses_BTJD)
    middle_BT1D = whole_BTJD.nanmean(2, keepdim=True).nan_to_num()
    return torch.where(never_BTJ[..., None], middle_BT1D, whole_BTJD)


def _simulator(track: Track, device: str) -> EstimatorSimulator | None:
    info = track.info
    if info.noise is None or info.noise.kind != "simulated":
        return None
    if info.skeleton is None:
        raise TrackError(f"{track}: errors are simulated for a known skeleton")
    return EstimatorSimulator(info.skeleton, device)


def _draw(like: Tensor, noise: Noise, generator: torch.Generator) -> Tensor:
    if noise.kind == "gaussian":
        unit = torch.randn(like.shape, generator=generator, device=like.device)
    else:
        unit = torch.rand(like.shape, generator=generator, device=like.device) - 0.5
    return noise.scale * unit
