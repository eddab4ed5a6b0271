"""What estimators get wrong for a while: sides, frames, depth, and joints somewhere else.

Shape letters: B windows, T frames, J joints, D dimensions, L limbs, P parts.
"""

import torch
from torch import Tensor

from poise.readers.simulated.body import Body
from poise.readers.simulated.draws import Draws
from poise.readers.simulated.strengths import Spell, Strengths
from poise.readers.simulated.view import View, along

#: Frames from one that is repeated or lost to the next, at most; two at least.
_LONGEST_PERIOD = 6


def with_faults(
    poses_BTJD: Tensor, view: View, body: Body, strengths: Strengths, draws: Draws
) -> Tensor:
    """Swap sides, hold frames, bend limbs the other way in depth, fling joints off."""
    steady_B11 = ~draws.chance(strengths.flickers, len(poses_BTJD), 1, 1)
    poses_BTJD = _swapped(poses_BTJD, steady_B11, body, strengths, draws)
    poses_BTJD = _frozen(poses_BTJD, body, strengths, draws)
    if view.axis_BD is not None:
        poses_BTJD = _inverted(poses_BTJD, view.axis_BD, steady_B11, body, strengths, draws)
    return _flung(poses_BTJD, body, strengths, draws)


def skipped(batch: int, frames: int, strengths: Strengths, draws: Draws) -> tuple[Tensor, Tensor]:
    """Frames of estimators that stutter: where the one before is repeated, and lost ones (B, T)."""
    period_B1 = 2 + ((_LONGEST_PERIOD - 1) * draws.uniform(batch, 1)).long()
    start_B1 = (_LONGEST_PERIOD * draws.uniform(batch, 1)).long()
    is_due_BT = (torch.arange(frames, device=draws.device) + start_B1) % period_B1 == 0
    stutters_BT = draws.chance(strengths.stutters, batch, 1) & is_due_BT
    repeats_B1 = draws.chance(0.5, batch, 1)
    return stutters_BT & repeats_B1, stutters_BT & ~repeats_B1


def _happening(
    kind: Spell, steady_B11: Tensor, batch: int, frames: int, things: int, draws: Draws
) -> Tensor:
    """Spells (B, T, N), which come and go where they are not steady."""
    within_BTN, _ = draws.spells(kind, batch, frames, things)
    return within_BTN & (steady_B11 | draws.chance(0.5, batch, frames, 1))


def _swapped(
    poses_BTJD: Tensor, steady_B11: Tensor, body: Body, strengths: Strengths, draws: Draws
) -> Tensor:
    batch, frames = poses_BTJD.shape[:2]
    parts = len(body.parts_PJ)
    within_BTP = _happening(strengths.swaps, steady_B11, batch, frames, parts, draws)
    swapped_BTJ = (within_BTP.float() @ body.parts_PJ) > 0
    return torch.where(swapped_BTJ[..., None], poses_BTJD[:, :, body.other_J], poses_BTJD)


def _frozen(poses_BTJD: Tensor, body: Body, strengths: Strengths, draws: Draws) -> Tensor:
    batch, frames = poses_BTJD.shape[:2]
    members_LJ = torch.cat([body.limbs_LJ, torch.ones_like(body.limbs_LJ[:1])]) > 0
    within_BTL, since_BTL = draws.spells(strengths.freezes, batch, frames, len(members_LJ))
    frame_BTJ = torch.arange(frames, device=poses_BTJD.device)[None, :, None]
    for limb, members_J in enumerate(members_LJ):
        held_BTJ = within_BTL[:, :, limb, None] & members_J
        earlier_BTJ = torch.minimum(frame_BTJ, since_BTL[:, :, limb, None])
        frame_BTJ = torch.where(held_BTJ, earlier_BTJ, frame_BTJ)
    return poses_BTJD.gather(1, frame_BTJ[..., None].expand_as(poses_BTJD))


def _inverted(
    poses_BTJD: Tensor,
    axis_BD: Tensor,
    steady_B11: Tensor,
    body: Body,
    strengths: Strengths,
    draws: Draws,
) -> Tensor:
    batch, frames = poses_BTJD.shape[:2]
    limbs = len(body.limbs_LJ)
    within_BTL = _happening(strengths.inversions, steady_B11, batch, frames, limbs, draws)
    turned_BTJ1 = ((within_BTL.float() @ body.limbs_LJ) > 0)[..., None]
    away_BTJD = poses_BTJD - poses_BTJD[:, :, body.base_J]
    depth_BTJ1 = along(away_BTJD, axis_BD)[..., None]
    return poses_BTJD - 2 * turned_BTJ1 * depth_BTJ1 * axis_BD[:, None, None]


def _flung(poses_BTJD: Tensor, body: Body, strengths: Strengths, draws: Draws) -> Tensor:
    batch, frames, joints, dims = poses_BTJD.shape
    within_BTJ, _ = draws.spells(strengths.flings, batch, frames, joints)
    away_BJD = strengths.fling_m * draws.normal(batch, joints, dims)
    away_BTJD = within_BTJ[..., None] * away_BJD[:, None]
    # One window's weights times all that is flung in it: frames and dimensions are columns.
    columns_BJX = away_BTJD.transpose(1, 2).reshape(batch, joints, -1)
    dragged_BJX = body.passed_on(draws.uniform(batch)) @ columns_BJX
    flung_BTJD: Tensor = poses_BTJD + dragged_BJX.unflatten(-1, (frames, dims)).transpose(1, 2)
    return flung_BTJD
