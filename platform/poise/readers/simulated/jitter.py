"""Jitter as estimators have it: it lasts, and grows with speed, from the root, and in depth.

Shape letters: B windows, T frames, J joints, D = 3 dimensions, K frames of a kernel.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from poise.readers.simulated.body import Body
from poise.readers.simulated.draws import Draws
from poise.readers.simulated.strengths import Between, Strengths

#: Frames to either side beyond which jitter is not remembered, in times that it lasts.
_TIMES = 3


def jitter(
    truth_BTJD: Tensor, axis_BD: Tensor, body: Body, strengths: Strengths, draws: Draws
) -> Tensor:
    """Draw errors (B, T, J, 3) in metres; ``axis_BD`` is the camera's."""
    batch, _, joints, _ = truth_BTJD.shape
    size_BJ = draws.between(strengths.jitter_m, batch, 1) * body.reach_J
    size_BJ = size_BJ * (0.5 + draws.uniform(batch, joints))
    speed_BTJ = torch.diff(truth_BTJD, dim=1, append=truth_BTJD[:, -1:]).norm(dim=-1)
    hurry_BTJ = 1 + strengths.with_speed * draws.uniform(batch, 1, 1) * speed_BTJ
    unit_BTJD = _lasting(truth_BTJD, strengths, draws)
    error_BTJD = unit_BTJD * (size_BJ[:, None] * hurry_BTJ)[..., None]
    depth_B111 = strengths.in_depth * draws.uniform(batch, 1, 1, 1)
    axis_B11D = axis_BD[:, None, None]
    along_BTJ1 = (error_BTJD * axis_B11D).sum(-1, keepdim=True)
    error_BTJD = error_BTJD + depth_B111 * along_BTJ1 * axis_B11D
    white_BTJD = draws.normal(*truth_BTJD.shape) * draws.uniform(batch, 1, 1, 1)
    is_white_B111 = draws.chance(strengths.white, batch, 1, 1, 1)
    return torch.where(is_white_B111, strengths.white_m * white_BTJD, error_BTJD)


def _lasting(like_BTJD: Tensor, strengths: Strengths, draws: Draws) -> Tensor:
    """Noise of strength 1 (B, T, J, D): one share of it lasts, the other is new in every frame."""
    slow_BTJD = _slow(draws.normal(*like_BTJD.shape), strengths.jitter_lasts, draws)
    turn_B111 = draws.uniform(len(like_BTJD), 1, 1, 1) ** strengths.fresh_power * math.pi / 2
    fresh_BTJD = draws.normal(*like_BTJD.shape)
    return turn_B111.cos() * slow_BTJD + turn_B111.sin() * fresh_BTJD


def _slow(white_BTJD: Tensor, lasts: Between, draws: Draws) -> Tensor:
    """White noise made to last, at the same strength in every frame."""
    batch, frames = white_BTJD.shape[:2]
    reach = min(frames - 1, math.ceil(_TIMES * lasts.most))
    apart_K = torch.arange(-reach, reach + 1, device=white_BTJD.device).abs()
    kernel_B1K = torch.exp(-apart_K / draws.between(lasts, batch, 1, 1))
    white_CBT = white_BTJD.flatten(2).permute(2, 0, 1)
    # A channel of the convolution for every window, since every window has its own kernel.
    slow_CBT = functional.conv1d(white_CBT, kernel_B1K, padding=reach, groups=batch)
    ones_1BT = torch.ones_like(white_CBT[:1])
    power_1BT = functional.conv1d(ones_1BT, kernel_B1K.square(), padding=reach, groups=batch)
    return (slow_CBT / power_1BT.sqrt()).permute(1, 2, 0).reshape_as(white_BTJD)
