"""Detections with the errors of pose estimators, made of truth: what no data set has enough of.

Every window gets an estimator of its own: where it says that joints are; how much it jitters and
for how long, how that grows with speed, along limbs, out of sight and in depth; what it gets wrong
for a while; which joints and frames it does not see; and how sure it says that it is.

Shape letters: B windows, T frames, J joints, D dimensions.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from poise.readers.simulated.bias import biased
from poise.readers.simulated.body import Body
from poise.readers.simulated.camera import Camera
from poise.readers.simulated.confidence import confidence
from poise.readers.simulated.draws import Draws
from poise.readers.simulated.faults import skipped, with_faults
from poise.readers.simulated.jitter import jitter, white
from poise.readers.simulated.strengths import Strengths
from poise.readers.simulated.view import View
from poise_retrieval.geometry.skeletons import Skeleton

_STRENGTHS = Strengths()
#: Confidence below which joints count as not seen, at most.
_DOUBT = 0.5
#: What is left of the confidence in a joint outside of the image.
_AT_EDGE = 0.3


class Seen(NamedTuple):
    """What estimators make of windows.

    Attributes:
        poses_BTJD: in the unit of the truth; NaN is not seen.
        confidence_BTJ: how sure they say that they are, from 0 to 1; 0 where nothing was seen.
    """

    poses_BTJD: Tensor
    confidence_BTJ: Tensor


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

    def detect(self, truth_BTJD: Tensor, generator: torch.Generator) -> Seen:
        """Return windows in metres as estimators see them.

        Args:
            truth_BTJD: (B, T, J, 3), any number of frames; a whole sequence is a window of one
                estimator.
            generator: of all that is drawn, on the windows' device.
        """
        draws = Draws(generator)
        placed_BTJD = biased(truth_BTJD, self._body, self._strengths, draws)
        view = View.of_space(truth_BTJD, self._body, draws)
        return self._seen(truth_BTJD, placed_BTJD, view, draws)

    def detect_images(self, truth_BTJD: Tensor, generator: torch.Generator) -> tuple[Tensor, Seen]:
        """Return windows (B, T, J, 2) in images (`Camera`), and what estimators find there.

        Joints outside of an image are true where they are; estimators do not see them, or say
        that they are at its edge.

        Args:
            truth_BTJD: (B, T, J, 3) in metres, y up.
            generator: of all that is drawn, on the windows' device.
        """
        draws, batch = Draws(generator), len(truth_BTJD)
        placed_BTJD = biased(truth_BTJD, self._body, self._strengths, draws)
        camera = Camera.about(truth_BTJD, draws)
        image_BTJD, depth_BTJ = camera.project(truth_BTJD)
        # Errors are as large as in space: in metres of the plane that goes through the body.
        metres_B111 = (depth_BTJ.mean((1, 2)) / camera.focal_B)[:, None, None, None]
        flat_BTJD = image_BTJD * metres_B111
        view = View.of_image(flat_BTJD, depth_BTJ, self._body)
        placed_BTJD = camera.project(placed_BTJD)[0] * metres_B111
        seen = self._seen(flat_BTJD, placed_BTJD, view, draws)
        outside_BTJ = (image_BTJD.abs() > 1).any(-1)
        edge_B11 = draws.chance(self._strengths.at_edge, batch, 1, 1)
        poses_BTJD = seen.poses_BTJD / metres_B111
        poses_BTJD = torch.where(
            (edge_B11 & outside_BTJ)[..., None], poses_BTJD.clamp(-1, 1), poses_BTJD
        )
        unseen_BTJ = outside_BTJ & ~edge_B11
        sure_BTJ = torch.where(outside_BTJ, _AT_EDGE * seen.confidence_BTJ, seen.confidence_BTJ)
        return image_BTJD, Seen(
            poses_BTJD.masked_fill(unseen_BTJ[..., None], math.nan),
            sure_BTJ.masked_fill(unseen_BTJ, 0.0),
        )

    def _seen(self, truth_BTJD: Tensor, placed_BTJD: Tensor, view: View, draws: Draws) -> Seen:
        """Add what changes from frame to frame to what is wrong in all of them alike."""
        strengths, body, batch = self._strengths, self._body, len(truth_BTJD)
        each = (batch, 1, 1, 1)
        faulty_B111 = draws.chance(strengths.faulty, *each)
        is_white_B111 = draws.chance(strengths.white, *each)
        is_clean_B111 = draws.chance(strengths.clean, *each)
        wrong_BTJD = with_faults(placed_BTJD, view, body, strengths, draws)
        seen_BTJD = torch.where(faulty_B111, wrong_BTJD, placed_BTJD)
        seen_BTJD = seen_BTJD + jitter(truth_BTJD, view, body, strengths, draws)
        noisy_BTJD = truth_BTJD + white(truth_BTJD, strengths, draws)
        seen_BTJD = torch.where(is_white_B111, noisy_BTJD, seen_BTJD)
        repeated_BT, lost_BT = skipped(batch, truth_BTJD.shape[1], strengths, draws)
        before_BTJD = torch.cat([seen_BTJD[:, :1], seen_BTJD[:, :-1]], dim=1)
        seen_BTJD = torch.where(repeated_BT[:, :, None, None], before_BTJD, seen_BTJD)
        sure_BTJ = confidence(
            (seen_BTJD - placed_BTJD).norm(dim=-1), view.behind_BTJ, strengths, draws
        )
        hidden_BTJ = self._hidden(sure_BTJ, draws) | lost_BT[..., None]
        hidden_BTJ = hidden_BTJ & ~is_clean_B111[..., 0]
        seen_BTJD = torch.where(is_clean_B111, truth_BTJD, seen_BTJD)
        return Seen(
            seen_BTJD.masked_fill(hidden_BTJ[..., None], math.nan),
            sure_BTJ.masked_fill(hidden_BTJ, 0.0),
        )

    def _hidden(self, sure_BTJ: Tensor, draws: Draws) -> Tensor:
        batch, frames, joints = sure_BTJ.shape
        gap_BTJ, _ = draws.spells(self._strengths.lost_joints, batch, frames, joints)
        nobody_BT1, _ = draws.spells(self._strengths.lost_frames, batch, frames, 1)
        estimators, of_joints = self._strengths.blind
        never_BJ = draws.chance(estimators, batch, 1) & draws.chance(of_joints, batch, joints)
        is_strict_B11 = draws.chance(self._strengths.doubtful, batch, 1, 1)
        doubted_BTJ = is_strict_B11 & (sure_BTJ < _DOUBT * draws.uniform(batch, 1, 1))
        return gap_BTJ | nobody_BT1 | never_BJ[:, None] | doubted_BTJ
