"""Detections with the errors of pose estimators, made of truth: what no data set has enough of.

Every window gets an estimator of its own: how much it jitters and for how long, how that grows with
speed, towards hands and feet and in depth; and what it gets wrong for a while: sides swapped, limbs
frozen, bent the wrong way or flung off, joints and frames that it does not see.

Shape letters: B windows, T frames, J joints, D = 3 dimensions, L limbs, P parts.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from poise.readers.simulated.body import Body
from poise.readers.simulated.draws import Draws
from poise.readers.simulated.jitter import jitter
from poise.readers.simulated.strengths import Strengths
from poise_retrieval.geometry.skeletons import Skeleton

_STRENGTHS = Strengths()


class EstimatorSimulator:
    """Draws an estimator for every window, and what it makes of the window."""

    def __init__(
        self,
        skeleton: Skeleton,
        device: torch.device | str = "cpu",
        strengths: Strengths = _STRENGTHS,
    ) -> None:
        """Prepare for the windows of a skeleton; raise `TrackError` for one of other joints."""
        self._body = Body(skeleton, device)
        self._strengths = strengths

    def detect(self, truth_BTJD: Tensor, generator: torch.Generator) -> Tensor:
        """Return windows (B, T, J, 3) in metres as estimators see them; NaN is not seen.

        Args:
            truth_BTJD: any number of frames; a whole sequence is a window of one estimator.
            generator: of all that is drawn, on the windows' device.
        """
        draws, batch = Draws(generator), len(truth_BTJD)
        axis_BD = functional.normalize(draws.normal(batch, 3), dim=-1)
        seen_BTJD = self._swapped(truth_BTJD, draws)
        seen_BTJD = self._frozen(seen_BTJD, draws)
        seen_BTJD = self._inverted(seen_BTJD, axis_BD, draws)
        seen_BTJD = self._flung(seen_BTJD, draws)
        faulty_B = draws.chance(self._strengths.faulty, batch)
        seen_BTJD = torch.where(faulty_B[:, None, None, None], seen_BTJD, truth_BTJD)
        seen_BTJD = seen_BTJD + jitter(truth_BTJD, axis_BD, self._body, self._strengths, draws)
        seen_BTJD = self._hidden(seen_BTJD, draws)
        clean_B = draws.chance(self._strengths.clean, batch)
        return torch.where(clean_B[:, None, None, None], truth_BTJD, seen_BTJD)

    def _swapped(self, poses_BTJD: Tensor, draws: Draws) -> Tensor:
        batch, frames = poses_BTJD.shape[:2]
        parts_PJ = self._body.parts_PJ
        within_BTP, _ = draws.spells(self._strengths.swaps, batch, frames, len(parts_PJ))
        swapped_BTJ = (within_BTP.float() @ parts_PJ) > 0
        return torch.where(swapped_BTJ[..., None], poses_BTJD[:, :, self._body.other_J], poses_BTJD)

    def _frozen(self, poses_BTJD: Tensor, draws: Draws) -> Tensor:
        batch, frames = poses_BTJD.shape[:2]
        limbs_LJ = self._body.limbs_LJ
        members_LJ = torch.cat([limbs_LJ, torch.ones_like(limbs_LJ[:1])]) > 0
        within_BTL, since_BTL = draws.spells(
            self._strengths.freezes, batch, frames, len(members_LJ)
        )
        frame_BTJ = torch.arange(frames, device=poses_BTJD.device)[None, :, None]
        for limb, members_J in enumerate(members_LJ):
            held_BTJ = within_BTL[:, :, limb, None] & members_J
            earlier_BTJ = torch.minimum(frame_BTJ, since_BTL[:, :, limb, None])
            frame_BTJ = torch.where(held_BTJ, earlier_BTJ, frame_BTJ)
        return poses_BTJD.gather(1, frame_BTJ[..., None].expand_as(poses_BTJD))

    def _inverted(self, poses_BTJD: Tensor, axis_BD: Tensor, draws: Draws) -> Tensor:
        batch, frames = poses_BTJD.shape[:2]
        limbs_LJ = self._body.limbs_LJ
        within_BTL, _ = draws.spells(self._strengths.inversions, batch, frames, len(limbs_LJ))
        turned_BTJ1 = ((within_BTL.float() @ limbs_LJ) > 0)[..., None]
        away_BTJD = poses_BTJD - poses_BTJD[:, :, self._body.base_J]
        axis_B11D = axis_BD[:, None, None]
        depth_BTJ1 = (away_BTJD * axis_B11D).sum(-1, keepdim=True)
        return poses_BTJD - 2 * turned_BTJ1 * depth_BTJ1 * axis_B11D

    def _flung(self, poses_BTJD: Tensor, draws: Draws) -> Tensor:
        batch, frames, joints, dims = poses_BTJD.shape
        within_BTJ, _ = draws.spells(self._strengths.flings, batch, frames, joints)
        away_BJD = self._strengths.fling_m * draws.normal(batch, joints, dims)
        return poses_BTJD + within_BTJ[..., None] * away_BJD[:, None]

    def _hidden(self, poses_BTJD: Tensor, draws: Draws) -> Tensor:
        batch, frames, joints, _ = poses_BTJD.shape
        gap_BTJ, _ = draws.spells(self._strengths.lost_joints, batch, frames, joints)
        nobody_BT1, _ = draws.spells(self._strengths.lost_frames, batch, frames, 1)
        estimators, of_joints = self._strengths.blind
        never_BJ = draws.chance(estimators, batch, 1) & draws.chance(of_joints, batch, joints)
        hidden_BTJ = gap_BTJ | nobody_BT1 | never_BJ[:, None]
        return poses_BTJD.masked_fill(hidden_BTJ[..., None], math.nan)
