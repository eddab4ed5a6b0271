"""Changes of training windows that a network should not care about: size, side, heading."""

from dataclasses import replace

import torch
from torch import Tensor

from poise_models.base.batch import Batch
from poise_models.base.budget import Budget
from poise_models.base.pose_spec import PoseSpec


def augmented(batch: Batch, budget: Budget, spec: PoseSpec, generator: torch.Generator) -> Batch:
    """Scale windows, turn them about the vertical, and flip every other one, as the budget says.

    All of a window changes alike: detected poses, truth and neighbours. Distances stay.

    Args:
        batch: windows on the device of the generator.
        budget: `Budget.scale`, `Budget.heading` and `Budget.mirror`.
        spec: what swaps left and right, and which axis is vertical; None only where the budget
            does not ask for it.
        generator: of the random choices.
    """
    size, device = len(batch.distances_BK), batch.distances_BK.device
    factor_B: Tensor | None = None
    turn_BDD: Tensor | None = None
    flipped_B: Tensor | None = None
    if budget.scale:
        drawn_B = torch.rand(size, generator=generator, device=device)
        factor_B = 1 + budget.scale * (2 * drawn_B - 1)
    if budget.heading and spec.up is not None:
        drawn_B = torch.rand(size, generator=generator, device=device)
        turn_BDD = _turn(budget.heading * (2 * drawn_B - 1), spec.up)
    if budget.mirror:
        flipped_B = torch.rand(size, generator=generator, device=device) < 0.5

    def changed(poses: Tensor) -> Tensor:
        each = (-1, *[1] * (poses.dim() - 1))
        if factor_B is not None:
            poses = poses * factor_B.view(each)
        if turn_BDD is not None:
            joints = poses.unflatten(-1, (spec.joints, -1))
            between = joints.dim() - 3
            poses = (joints @ turn_BDD.view(-1, *[1] * between, 3, 3)).flatten(-2)
        if flipped_B is not None and spec.flip is not None:
            poses = torch.where(flipped_B.view(each), spec.flip(poses), poses)
        return poses

    return replace(
        batch,
        detected_BTC=changed(batch.detected_BTC),
        truth_BTC=changed(batch.truth_BTC),
        neighbours_BKTC=changed(batch.neighbours_BKTC),
    )


def _turn(angle_B: Tensor, up: int) -> Tensor:
    """Rotations (B, 3, 3) about the vertical axis, by angles (B,) in radians."""
    first, second = (axis for axis in range(3) if axis != up)
    turn_BDD = torch.eye(3, device=angle_B.device).repeat(len(angle_B), 1, 1)
    turn_BDD[:, first, first] = turn_BDD[:, second, second] = angle_B.cos()
    turn_BDD[:, first, second] = angle_B.sin()
    turn_BDD[:, second, first] = -angle_B.sin()
    return turn_BDD
