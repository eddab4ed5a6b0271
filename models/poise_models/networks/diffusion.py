"""The sub-variance-preserving diffusion: how data turn into noise between time 0 and 1.

A pose x becomes ``mean(t) x + deviation(t) z`` with standard normal z. Read backwards, following
the probability flow, noise turns into poses without any chance involved.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class SubVP:
    """The sub-VP diffusion, whose rate rises linearly from ``slowest`` to ``fastest``."""

    slowest: float = 0.1
    fastest: float = 20.0

    def rate(self, time: Tensor) -> Tensor:
        """Beta at a time in [0, 1], any shape."""
        return self.slowest + time * (self.fastest - self.slowest)

    def mean(self, time: Tensor) -> Tensor:
        """What is left of the data at a time."""
        return torch.exp(-self._half_integral(time))

    def deviation(self, time: Tensor) -> Tensor:
        """The noise's standard deviation at a time."""
        # 1 - mean^2, which float32 would lose near time 0.
        return -torch.expm1(-2 * self._half_integral(time))

    def flow(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """The probability flow as (p, q): dx/dt = p x + q z, where z is the noise in x."""
        rate = self.rate(time)
        spread = -torch.expm1(-4 * self._half_integral(time))
        return -rate / 2, rate * spread / (2 * self.deviation(time))

    def _half_integral(self, time: Tensor) -> Tensor:
        return time * (self.slowest / 2 + time * (self.fastest - self.slowest) / 4)
