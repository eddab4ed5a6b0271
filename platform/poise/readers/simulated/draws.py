"""Random numbers on a device, and the spells in which something goes wrong.

Nothing here waits for the device, so a CUDA graph can hold it. Shape letters: B batch, K stretches
of a window, T frames, N things that can go wrong.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from poise.readers.simulated.strengths import STRETCH, Between, Spell


@dataclass(frozen=True)
class Draws:
    """Random numbers of one generator, on its device."""

    generator: torch.Generator

    @property
    def device(self) -> torch.device:
        """Where the numbers are."""
        return self.generator.device

    def uniform(self, *shape: int) -> Tensor:
        """Numbers from [0, 1)."""
        return torch.rand(*shape, generator=self.generator, device=self.device)

    def normal(self, *shape: int) -> Tensor:
        """Numbers of mean 0 and standard deviation 1."""
        return torch.randn(*shape, generator=self.generator, device=self.device)

    def chance(self, chance: float, *shape: int) -> Tensor:
        """True with this chance."""
        return self.uniform(*shape) < chance

    def between(self, sizes: Between, *shape: int) -> Tensor:
        """Sizes, evenly on a scale of ratios."""
        return sizes.least * (sizes.most / sizes.least) ** self.uniform(*shape)

    def spells(self, kind: Spell, batch: int, frames: int, things: int) -> tuple[Tensor, Tensor]:
        """Whether each thing is amiss in each frame, and since which frame, both (B, T, N).

        Long windows are drawn a stretch at a time; where a stretch ends, its spells do.
        """
        count = -(-frames // STRETCH)
        shape = (batch, count, 1, things)
        happens_BK1N = self.chance(kind.chance, *shape)
        lasts_BK1N = 1 + (kind.longest - 1) * self.uniform(*shape)
        start_BK1N = self.uniform(*shape) * (STRETCH + lasts_BK1N) - lasts_BK1N
        since_BKTN = torch.arange(STRETCH, device=self.device)[:, None] - start_BK1N
        within_BKTN = happens_BK1N & (since_BKTN >= 0) & (since_BKTN < lasts_BK1N)
        first_K11 = STRETCH * torch.arange(count, device=self.device)[:, None, None]
        begun_BK1N = start_BK1N.clamp(min=0).ceil().long() + first_K11
        begun_BKTN = begun_BK1N.expand_as(within_BKTN)
        return within_BKTN.flatten(1, 2)[:, :frames], begun_BKTN.flatten(1, 2)[:, :frames]
