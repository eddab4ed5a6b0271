"""What a camera sees of a body: how deep joints lie, and which of them the trunk hides.

Shape letters: B windows, T frames, J joints, D dimensions.
"""

from typing import NamedTuple, Self

import torch
from torch import Tensor
from torch.nn import functional

from poise.readers.simulated.body import Body
from poise.readers.simulated.draws import Draws

#: Half the width of a trunk, how far behind its middle a joint begins to be hidden, and over
#: which way it does, in metres.
_WIDTH, _BEHIND, _OVER = 0.18, 0.06, 0.03


class View(NamedTuple):
    """How estimators see windows.

    Attributes:
        axis_BD: away from the camera, where poses are in space; None where they are in its image.
        behind_BTJ: how much the trunk hides each joint, from 0 to 1.
    """

    axis_BD: Tensor | None
    behind_BTJ: Tensor

    @classmethod
    def of_space(cls, truth_BTJD: Tensor, body: Body, draws: Draws) -> Self:
        """Cameras anywhere, at distances where their rays are parallel."""
        axis_BD = functional.normalize(draws.normal(len(truth_BTJD), 3), dim=-1)
        away_BTJD = truth_BTJD - body.trunk(truth_BTJD)
        depth_BTJ = along(away_BTJD, axis_BD)
        aside_BTJ = away_BTJD.square().sum(-1) - depth_BTJ.square()
        return cls(axis_BD, _behind(depth_BTJ, aside_BTJ))

    @classmethod
    def of_image(cls, image_BTJD: Tensor, depth_BTJ: Tensor, body: Body) -> Self:
        """The camera of an image, whose plane goes through the body; all in metres."""
        aside_BTJ = (image_BTJD - body.trunk(image_BTJD)).square().sum(-1)
        deep_BTJ = depth_BTJ - body.trunk(depth_BTJ[..., None]).squeeze(-1)
        return cls(None, _behind(deep_BTJ, aside_BTJ))


def along(ways_BTJD: Tensor, axis_BD: Tensor) -> Tensor:
    """How far ways (B, T, J, D) lead along each window's axis, (B, T, J)."""
    far_BTJ: Tensor = (ways_BTJD.flatten(1, 2) @ axis_BD[:, :, None]).view(ways_BTJD.shape[:-1])
    return far_BTJ


def _behind(depth_BTJ: Tensor, aside_BTJ: Tensor) -> Tensor:
    return torch.sigmoid((depth_BTJ - _BEHIND) / _OVER) * torch.exp(-aside_BTJ / _WIDTH**2)
