"""Jitter as estimators have it: it lasts, and grows with speed, from the root, and out of sight.

Shape letters: B windows, T frames, J joints, D dimensions, K frames of a kernel.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from poise.readers.simulated.body import Body
from poise.readers.simulated.draws import Draws
from poise.readers.simulated.strengths import Between, Strengths
from poise.readers.simulated.view import View, along

#: Frames to either side beyond which jitter is not remembered, in times that it lasts.
_TIMES = 3
#: Frames of windows that are multiplied by a matrix; longer ones are convolved.
_SHORT = 128
#: How much stronger speed makes jitter at most.
_MOST_HURRY = 5.0


def jitter(
    truth_BTJD: Tensor, view: View, body: Body, strengths: Strengths, draws: Draws
) -> Tensor:
    """Draw errors (B, T, J, D) in metres."""
    batch, _, joints, _ = truth_BTJD.shape
    size_BJ = draws.between(strengths.jitter_m, batch, 1) * body.reach_J
    size_BJ = size_BJ * (0.5 + draws.uniform(batch, joints))
    speed_BTJ = torch.diff(truth_BTJD, dim=1, append=truth_BTJD[:, -1:]).norm(dim=-1)
    hurry_BTJ = 1 + strengths.with_speed * draws.uniform(batch, 1, 1) * speed_BTJ
    hidden_BTJ = 1 + strengths.behind * draws.uniform(batch, 1, 1) * view.behind_BTJ
    size_BTJ = size_BJ[:, None] * hurry_BTJ.clamp(max=_MOST_HURRY) * hidden_BTJ
    unit_BTJD = _together(_lasting(truth_BTJD, strengths, draws), body, strengths, draws)
    error_BTJD: Tensor = unit_BTJD * size_BTJ[..., None]
    if view.axis_BD is None:
        return error_BTJD
    depth_B111 = strengths.in_depth * draws.uniform(batch, 1, 1, 1)
    axis_B11D = view.axis_BD[:, None, None]
    return error_BTJD + depth_B111 * along(error_BTJD, view.axis_BD)[..., None] * axis_B11D


def white(like_BTJD: Tensor, strengths: Strengths, draws: Draws) -> Tensor:
    """Draw errors that are new in every frame and alike in all joints, in metres."""
    size_B111 = strengths.white_m * draws.uniform(len(like_BTJD), 1, 1, 1)
    return size_B111 * draws.normal(*like_BTJD.shape)


def lasting(draws: Draws, lasts: Between, *shape: int) -> Tensor:
    """Noise of strength 1 (B, T, ...) that lasts for as long as is drawn for each window."""
    batch, frames = shape[:2]
    white_BTX = draws.normal(*shape).flatten(2)
    lasts_B11 = draws.between(lasts, batch, 1, 1)
    if frames > _SHORT:
        return _convolved(white_BTX, lasts_B11, math.ceil(_TIMES * lasts.most)).reshape(shape)
    frame_T = torch.arange(frames, device=white_BTX.device)
    apart_TT = (frame_T - frame_T[:, None]).abs()
    weight_BTT = functional.normalize(torch.exp(-apart_TT / lasts_B11), dim=-1)
    return (weight_BTT @ white_BTX).reshape(shape)


def _convolved(white_BTX: Tensor, lasts_B11: Tensor, reach: int) -> Tensor:
    """The same for many frames, whose products with each other would be too many."""
    batch, frames, _ = white_BTX.shape
    reach = min(frames - 1, reach)
    apart_K = torch.arange(-reach, reach + 1, device=white_BTX.device).abs()
    kernel_B1K = torch.exp(-apart_K / lasts_B11)
    # A channel of the convolution for every window, since every window has its own kernel.
    white_XBT = white_BTX.permute(2, 0, 1)
    slow_XBT = functional.conv1d(white_XBT, kernel_B1K, padding=reach, groups=batch)
    ones_1BT = torch.ones_like(white_XBT[:1])
    power_1BT = functional.conv1d(ones_1BT, kernel_B1K.square(), padding=reach, groups=batch)
    return (slow_XBT / power_1BT.sqrt()).permute(1, 2, 0)


def _lasting(like_BTJD: Tensor, strengths: Strengths, draws: Draws) -> Tensor:
    """Noise of strength 1 (B, T, J, D): one share of it lasts, the other is new in every frame."""
    slow_BTJD = lasting(draws, strengths.jitter_lasts, *like_BTJD.shape)
    turn_B111 = draws.uniform(len(like_BTJD), 1, 1, 1) ** strengths.fresh_power * math.pi / 2
    return turn_B111.cos() * slow_BTJD + turn_B111.sin() * draws.normal(*like_BTJD.shape)


def _together(unit_BTJD: Tensor, body: Body, strengths: Strengths, draws: Draws) -> Tensor:
    """Give joints a share of the error of the one before them, and of one that all have.

    Errors stay as strong; they are no longer each by itself.
    """
    batch, frames, joints, _ = unit_BTJD.shape
    share_B = strengths.along_limbs * draws.uniform(batch).sqrt()
    weight_BJJ = functional.normalize(body.passed_on(share_B), dim=-1)
    common_B1 = strengths.in_common * draws.uniform(batch, 1)
    weight_BJJ = (1 - common_B1.square()).sqrt()[..., None] * weight_BJJ
    # What the root has is what all have.
    weight_BJJ[:, :, 0] += common_B1
    weight_BJJ = functional.normalize(weight_BJJ, dim=-1)
    # One product a window: all its frames and dimensions are columns.
    columns_BJX = unit_BTJD.transpose(1, 2).reshape(batch, joints, -1)
    mixed_BJX = weight_BJJ @ columns_BJX
    mixed_BTJD: Tensor = mixed_BJX.unflatten(-1, (frames, -1)).transpose(1, 2)
    return mixed_BTJD
