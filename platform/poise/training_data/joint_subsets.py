"""Training windows with the joints alone that some detector, or half a person, would show.

Shape letters: B windows, T frames, J joints, D dimensions, L layouts or limbs.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from poise.catalog.joint_sets import joint_sets
from poise.mocap.joints import JointMap, joint_map
from poise.readers.simulated.body import Body
from poise.readers.simulated.draws import Draws
from poise_retrieval.geometry.skeletons import Skeleton

#: What detectors give.
DETECTORS = ("coco17", "body_25", "halpe26", "mediapipe33", "smpl24", "lsp14")
#: Share of windows with a detector's joints; of those, the share without joints that are the middle
#: of two others; each limb's chance to be out of sight in any window.
_DETECTORS, _NO_MIDDLES, _LIMB = 0.4, 0.25, 0.03


class JointSubsets:
    """Leaves out joints in all frames of a window, drawn anew for each."""

    def __init__(self, skeleton: Skeleton, device: torch.device | str = "cpu") -> None:
        """Sort the joints of h36m17 by detector; raise `TrackError` for another skeleton."""
        self._body = Body(skeleton, device)
        names = skeleton.joints
        everything: JointMap = {name: (name,) for name in names}
        layouts = [*(joint_map(joint_sets()[name].joints) for name in DETECTORS), everything]
        self._lacks_LJ = torch.tensor(
            [[name not in points for name in names] for points in layouts], device=device
        )
        self._sources_LJ2 = torch.tensor(
            [_sources(points, names) for points in layouts], device=device
        )
        self._middle_LJ = self._sources_LJ2[..., 0] != self._sources_LJ2[..., 1]

    def __call__(self, seen_BTJD: Tensor, generator: torch.Generator) -> Tensor:
        """Return windows with NaN where joints are left out."""
        draws, batch = Draws(generator), len(seen_BTJD)
        all_joints = len(self._lacks_LJ) - 1
        layout_B = (all_joints * draws.uniform(batch)).long().clamp(max=all_joints - 1)
        layout_B = layout_B.where(draws.chance(_DETECTORS, batch), all_joints)
        no_middles_B1 = draws.chance(_NO_MIDDLES, batch, 1)
        limbs_BL = draws.chance(_LIMB, batch, len(self._body.limbs_LJ)).float()
        lacks_BJ = self._lacks_LJ[layout_B] | (no_middles_B1 & self._middle_LJ[layout_B])
        lacks_BJ = lacks_BJ | ((limbs_BL @ self._body.limbs_LJ) > 0)
        # A joint that is the middle of two others is made of them, errors and gaps included.
        source_BJ2 = self._sources_LJ2[layout_B]
        one_BTJD, two_BTJD = (
            seen_BTJD.gather(2, source_BJ2[:, None, :, end, None].expand_as(seen_BTJD))
            for end in range(2)
        )
        return ((one_BTJD + two_BTJD) / 2).masked_fill(lacks_BJ[:, None, :, None], math.nan)


def _sources(points: JointMap, names: Sequence[str]) -> list[list[int]]:
    """Of each joint the two whose middle it is, or twice itself, (J, 2)."""
    pairs = []
    for name in names:
        found = points.get(name, ())
        pair = found if len(found) == 2 and set(found) <= set(names) else (name, name)
        pairs.append([names.index(joint) for joint in pair])
    return pairs
