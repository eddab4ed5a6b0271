"""GFPose's walk with all that does not depend on the poses worked out beforehand.

At a step of the walk all poses have the same time, and without a condition of their own the same
shift in every layer. Half of the network's products for a single pose are of time and condition.
"""

from collections.abc import Callable
from typing import Protocol

from torch import Tensor


class ShiftedNetwork(Protocol):
    """A network whose layers are shifted by time and condition (`ScoreNetwork`)."""

    def shifts(self, time_B: Tensor, condition_BC: Tensor) -> list[Tensor]:
        """What time and condition add in every layer, L x (B, H)."""

    def noise(self, x_BC: Tensor, shifts_LBH: list[Tensor]) -> Tensor:
        """Estimate the noise (B, C), given what `shifts` returned."""


def noise_with_shared_time(
    network: ShiftedNetwork, times_S: Tensor, condition_1C: Tensor
) -> Callable[[Tensor, int], Tensor]:
    """As `poise_models.networks.gfpose.noise_at_times`, for one condition of all poses."""
    shifts_LSH = network.shifts(times_S, condition_1C)

    def noise(x_BC: Tensor, step: int) -> Tensor:
        return network.noise(x_BC, [shift_SH[step] for shift_SH in shifts_LSH])

    return noise
