"""The optimiser of a budget, and its learning rate as training goes on."""

import math

import torch
from torch import nn

from poise_models.base.budget import Budget

#: Least progress that a warm-up counts from, so that the first step is one.
_FIRST_PROGRESS = 1e-3


def optimiser(network: nn.Module, budget: Budget) -> torch.optim.Optimizer:
    """Adam, with AMSGrad or decoupled weight decay where the budget says so."""
    kind = torch.optim.AdamW if budget.optimiser == "adamw" else torch.optim.Adam
    # Fused: one pass over all weights in place of a dozen.
    return kind(
        network.parameters(),
        lr=budget.learning_rate,
        amsgrad=budget.optimiser != "adam",
        fused=True,
    )


def learning_rate(budget: Budget, epochs_done: int, share_of_epoch: float) -> float:
    """The rate of the next step, after whole epochs and a share in [0, 1) of the one under way."""
    progress = (epochs_done + share_of_epoch) / budget.epochs
    rate = budget.learning_rate
    if budget.warm_up:
        rate *= min(max(progress, _FIRST_PROGRESS) / budget.warm_up, 1.0)
    if budget.schedule == "step":
        return rate * budget.decay**epochs_done
    return rate * (budget.floor + (1 - budget.floor) * (1 + math.cos(math.pi * progress)) / 2)
