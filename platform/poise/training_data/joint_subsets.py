"""Training windows with the joints alone that some detector, or half a person, would show.

Shape letters: B windows, T frames, J joints, D dimensions, L layouts or limbs.
"""

import math

import torch
from torch import Tensor

from poise.catalog.joint_sets import joint_sets
from poise.readers.simulated.body import Body
from poise.readers.simulated.draws import Draws
from poise_models.general.joints import places
from poise_retrieval.geometry.skeletons import Skeleton

#: What detectors give; the general network finds its joints among them by `places`.
DETECTORS = ("coco17", "body_25", "halpe26", "mediapipe33", "smpl24", "lsp14")
#: Share of windows with a detector's joints; each limb's chance to be out of sight in any window.
_DETECTORS, _LIMB = 0.4, 0.03


class JointSubsets:
    """Leaves out joints in all frames of a window, drawn anew for each."""

    def __init__(self, skeleton: Skeleton, device: torch.device | str = "cpu") -> None:
        """Sort the joints of h36m17 by detector; raise `TrackError` for another skeleton."""
        self._body = Body(skeleton, device)
        lacks = [[at is None for at in places(joint_sets()[name].joints)] for name in DETECTORS]
        self._lacks_LJ = torch.tensor([*lacks, [False] * len(skeleton.joints)], device=device)

    def __call__(self, seen_BTJD: Tensor, generator: torch.Generator) -> Tensor:
        """Return windows with NaN where joints are left out."""
        draws, batch = Draws(generator), len(seen_BTJD)
        detectors = len(DETECTORS)
        layout_B = (detectors * draws.uniform(batch)).long().clamp(max=detectors - 1)
        layout_B = layout_B.where(draws.chance(_DETECTORS, batch), detectors)
        limbs_BL = draws.chance(_LIMB, batch, len(self._body.limbs_LJ)).float()
        lacks_BJ = self._lacks_LJ[layout_B] | ((limbs_BL @ self._body.limbs_LJ) > 0)
        return seen_BTJD.masked_fill(lacks_BJ[:, None, :, None], math.nan)
