"""What an estimator gets wrong alike in every frame: where joints are, and how large a body is.

Shape letters: B windows, T frames, J joints, D = 3 dimensions.
"""

import torch
from torch import Tensor

from poise.readers.simulated.body import Body
from poise.readers.simulated.draws import Draws
from poise.readers.simulated.strengths import Strengths

#: How much of a joint's offset the next one out has too, and both sides have alike.
_PASSED_ON, _ALIKE = 0.7, 0.8
#: Bone on which a slide along it is as far as an offset, in metres.
_BONE_M = 0.3


def biased(truth_BTJD: Tensor, body: Body, strengths: Strengths, draws: Draws) -> Tensor:
    """Put joints where estimators would say that they are, in every frame alike.

    An offset turns with the trunk; joints further out slide along the bone that they end, too, as
    where a wrist is said to be in the hand.
    """
    batch, _, joints, _ = truth_BTJD.shape
    size_B11 = draws.between(strengths.bias_m, batch, 1, 1)
    own_BJ4 = draws.normal(batch, joints, 4)
    # Offsets are those of the other side in a mirror, but for a rest.
    mirror_J4 = torch.ones_like(own_BJ4[0])
    mirror_J4[:, 0] = body.side_J
    alike_BJ4 = own_BJ4.where(body.side_J[:, None] > 0, own_BJ4[:, body.other_J]) * mirror_J4
    own_BJ4 = size_B11 * (
        _ALIKE * alike_BJ4 + (1 - _ALIKE**2) ** 0.5 * draws.normal(*own_BJ4.shape)
    )
    share_B = torch.full_like(size_B11[:, 0, 0], _PASSED_ON)
    offset_BJD = body.passed_on(share_B) @ own_BJ4[..., :3]
    bones_BTJD = truth_BTJD - truth_BTJD[:, :, body.parents_J]
    slide_B1J1 = (own_BJ4[..., 3] / _BONE_M * body.is_limb_J)[:, None, :, None]
    root_BT1D = truth_BTJD[:, :, :1]
    grown_B111 = (strengths.scale * draws.normal(batch, 1, 1, 1)).exp()
    seen_BTJD = root_BT1D + grown_B111 * (truth_BTJD - root_BT1D) + slide_B1J1 * bones_BTJD
    placed_BTJD: Tensor = seen_BTJD + offset_BJD[:, None] @ body.axes(truth_BTJD)
    return placed_BTJD
