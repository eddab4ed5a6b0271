"""Changes of training windows that a network should not care about: size, and left and right."""

from dataclasses import replace

import torch
from torch import Tensor

from poise_models.base.batch import Batch
from poise_models.base.budget import Budget
from poise_models.base.pose_spec import LeftRightFlip


def augmented(
    batch: Batch, budget: Budget, flip: LeftRightFlip | None, generator: torch.Generator
) -> Batch:
    """Scale windows, and flip every other one, as far as the budget says.

    All of a window changes alike: detected poses, truth and neighbours. Distances stay.

    Args:
        batch: windows on the device of the generator.
        budget: `Budget.scale` and `Budget.mirror`.
        flip: what swaps left and right; None only where the budget does not ask for it.
        generator: of the random choices.
    """
    size, device = len(batch.distances_BK), batch.distances_BK.device
    factor_B: Tensor | None = None
    flipped_B: Tensor | None = None
    if budget.scale:
        drawn_B = torch.rand(size, generator=generator, device=device)
        factor_B = 1 + budget.scale * (2 * drawn_B - 1)
    if budget.mirror:
        flipped_B = torch.rand(size, generator=generator, device=device) < 0.5

    def changed(poses: Tensor) -> Tensor:
        each = (-1, *[1] * (poses.dim() - 1))
        if factor_B is not None:
            poses = poses * factor_B.view(each)
        if flipped_B is not None and flip is not None:
            poses = torch.where(flipped_B.view(each), flip(poses), poses)
        return poses

    return replace(
        batch,
        detected_BTC=changed(batch.detected_BTC),
        truth_BTC=changed(batch.truth_BTC),
        neighbours_BKTC=changed(batch.neighbours_BKTC),
    )
