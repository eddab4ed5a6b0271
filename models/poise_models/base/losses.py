"""Position and acceleration losses (paper, Eq. 7)."""

from torch import Tensor


def acceleration(poses_BTC: Tensor) -> Tensor:
    """Second difference over time, (B, T - 2, C)."""
    return poses_BTC[:, 2:] - 2 * poses_BTC[:, 1:-1] + poses_BTC[:, :-2]


def refinement_loss(poses_BTC: Tensor, truth_BTC: Tensor, smoothness: float) -> Tensor:
    """Mean absolute position error + ``smoothness`` x mean absolute acceleration error."""
    error_BTC = poses_BTC - truth_BTC
    loss = error_BTC.abs().mean()
    if smoothness:
        loss = loss + smoothness * acceleration(error_BTC).abs().mean()
    return loss
