"""Pinhole cameras about a person, and what they make of poses in space.

Images are square and reach from -1 to 1 in both directions, x to the right and y down.

Shape letters: B windows, T frames, J joints, D = 3 dimensions.
"""

import math
from typing import NamedTuple, Self

import torch
from torch import Tensor
from torch.nn import functional

from poise.readers.simulated.draws import Draws
from poise.readers.simulated.jitter import lasting
from poise.readers.simulated.strengths import Between

#: From a person's reach to the camera, and how tall 1.7 m look, in half images.
_AWAY_M, _TALL = Between(1.5, 8.0), Between(0.4, 3.0)
_PERSON_M = 1.7
#: Down to the person, and by how much that varies; askew; all in radians.
_PITCH, _ROLL = (0.12, 0.2), 0.04
#: How far beside a person a camera looks, in metres.
_BESIDE_M = 0.35
#: How much of a person's way may lie outside, as a factor on how tall she looks.
_LEAVES = 1.2
#: Share of cameras that a hand holds; how much they turn, in radians, and for how many frames.
_HELD, _SHAKE, _LASTS = 0.3, 0.01, Between(5.0, 40.0)
#: Nothing is nearer to a camera, in metres.
_NEAREST = 0.3


class Camera(NamedTuple):
    """Cameras, one a window.

    Attributes:
        place_B3: in the world, in metres.
        axes_BT33: directions in the world of its right, down and ahead, as rows.
        focal_B: in half images.
    """

    place_B3: Tensor
    axes_BT33: Tensor
    focal_B: Tensor

    @classmethod
    def about(cls, truth_BTJD: Tensor, draws: Draws) -> Self:
        """Draw cameras that see windows (B, T, J, 3) in metres, y up, or most of them."""
        batch, frames = truth_BTJD.shape[:2]
        middle_BD = truth_BTJD.mean((1, 2))
        reach_B = (truth_BTJD - middle_BD[:, None, None]).norm(dim=-1).amax((1, 2))
        away_B = reach_B + draws.between(_AWAY_M, batch)
        yaw_B = 2 * math.pi * draws.uniform(batch)
        pitch_B = _PITCH[0] + _PITCH[1] * draws.normal(batch)
        towards_BD = torch.stack(
            [pitch_B.cos() * yaw_B.cos(), pitch_B.sin(), pitch_B.cos() * yaw_B.sin()], dim=-1
        )
        aim_BD = middle_BD + _BESIDE_M * draws.normal(batch, 3)
        place_BD = middle_BD + away_B[:, None] * towards_BD
        axes_BDD = _looking(aim_BD - place_BD)
        held_B11 = draws.chance(_HELD, batch, 1, 1)
        shake_BT3 = _SHAKE * lasting(draws, _LASTS, batch, frames, 3) * held_B11
        shake_BT3 = shake_BT3 + _ROLL * draws.normal(batch, 1, 1) * _AHEAD.to(shake_BT3.device)
        turn_BT33 = rotations(shake_BT3.flatten(0, 1)).unflatten(0, (batch, frames))
        fits_B = _LEAVES * _PERSON_M / reach_B.clamp(min=_PERSON_M / 2)
        tall_B = torch.minimum(draws.between(_TALL, batch), _TALL.most * fits_B / 2)
        return cls(place_BD, turn_BT33 @ axes_BDD[:, None], tall_B * away_B / _PERSON_M)

    def project(self, poses_BTJD: Tensor) -> tuple[Tensor, Tensor]:
        """Return places in the image (B, T, J, 2) and depths (B, T, J) in metres."""
        seen_BTJD = (poses_BTJD - self.place_B3[:, None, None]) @ self.axes_BT33.mT
        depth_BTJ = seen_BTJD[..., 2].clamp(min=_NEAREST)
        image_BTJ2 = seen_BTJD[..., :2] / depth_BTJ[..., None]
        return self.focal_B[:, None, None, None] * image_BTJ2, depth_BTJ


def rotations(vector_B3: Tensor) -> Tensor:
    """Return the matrices (B, 3, 3) of rotation vectors in radians (Rodrigues)."""
    angle_B = vector_B3.norm(dim=-1).clamp(min=1e-9)
    x, y, z = (vector_B3 / angle_B[:, None]).unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))
    sine, cosine = angle_B.sin()[:, None, None], angle_B.cos()[:, None, None]
    turn_B33: Tensor = torch.eye(3, device=x.device) + sine * cross + (1 - cosine) * cross @ cross
    return turn_B33


def upright(up: int) -> Tensor:
    """The turn (3, 3) that brings an axis to where y is, all three in a circle."""
    return torch.eye(3).roll(1 - up, dims=1)


_AHEAD = torch.tensor([0.0, 0.0, 1.0])


def _looking(way_BD: Tensor) -> Tensor:
    """Axes (B, 3, 3) of cameras that look along a way, upright."""
    ahead_BD = functional.normalize(way_BD, dim=-1)
    up_BD = torch.zeros_like(ahead_BD)
    up_BD[:, 1] = 1.0
    right_BD = functional.normalize(torch.linalg.cross(ahead_BD, up_BD), dim=-1)
    return torch.stack([right_BD, torch.linalg.cross(ahead_BD, right_BD), ahead_BD], dim=1)
