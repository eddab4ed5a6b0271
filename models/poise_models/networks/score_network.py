"""GFPose's network: the noise that it sees in a noised pose, at a time of the diffusion.

Shape letters: B batch, C = joints x dims, E numbers that time is embedded in, H hidden width,
L layers that look at time and condition.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from poise_models.fast.dropout import Dropout

#: The network counts time in thousandths.
TIME_SCALE = 999.0


class Layer(nn.Module):
    """Linear, shifted by time and condition, GroupNorm, SiLU, dropout."""

    def __init__(self, inputs: int, hidden: int, embedding: int, dropout: float) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, hidden)
        self.time = nn.Linear(embedding, hidden)
        self.condition = nn.Linear(hidden, hidden)
        self.norm = nn.GroupNorm(32, hidden)
        self.dropout = Dropout(dropout)

    def shift(self, time_BE: Tensor, condition_BH: Tensor) -> Tensor:
        """What time and condition add, (B, H)."""
        shift: Tensor = self.time(time_BE) + self.condition(condition_BH)
        return shift

    def forward(self, x: Tensor, shift_BH: Tensor) -> Tensor:
        """Map (B, inputs) to (B, H)."""
        out: Tensor = self.dropout(functional.silu(self.norm(self.dense(x) + shift_BH)))
        return out


class ScoreNetwork(nn.Module):
    """The noise in noised poses, which is the score up to ``-deviation``."""

    frequency: Tensor

    def __init__(
        self, channels: int, hidden: int, embedding: int, blocks: int, dropout: float
    ) -> None:
        super().__init__()
        self.embed_time = nn.Sequential(nn.Linear(embedding, embedding), nn.SiLU())
        self.embed_condition = nn.Sequential(nn.Linear(channels, hidden), nn.SiLU())
        widths = [channels] + [hidden] * (2 * blocks)
        self.layers = nn.ModuleList(Layer(width, hidden, embedding, dropout) for width in widths)
        self.out = nn.Linear(hidden, channels)
        frequency = torch.logspace(0, -4, embedding // 2, dtype=torch.float64).float()
        self.register_buffer("frequency", frequency, persistent=False)

    def forward(self, x_BC: Tensor, time_B: Tensor, condition_BC: Tensor) -> Tensor:
        """Estimate the noise (B, C) in poses (B, C) at times (B,); condition (B, C) or (1, C)."""
        return self.noise(x_BC, self.shifts(time_B, condition_BC))

    def shifts(self, time_B: Tensor, condition_BC: Tensor) -> list[Tensor]:
        """What time and condition add in every layer, L x (B, H): no pose is needed for it."""
        angle_BE = TIME_SCALE * time_B[:, None] * self.frequency
        time_BE = self.embed_time(torch.cat([angle_BE.sin(), angle_BE.cos()], dim=1))
        condition_BH = self.embed_condition(condition_BC)
        return [layer.shift(time_BE, condition_BH) for layer in self._layers()]

    def noise(self, x_BC: Tensor, shifts_LBH: list[Tensor]) -> Tensor:
        """Estimate the noise (B, C), given what `shifts` returned."""
        first, *others = self._layers()
        x_BH = first(x_BC, shifts_LBH[0])
        for number in range(0, len(others), 2):
            inner_BH = others[number](x_BH, shifts_LBH[number + 1])
            x_BH = x_BH + others[number + 1](inner_BH, shifts_LBH[number + 2])
        out: Tensor = self.out(x_BH)
        return out

    def _layers(self) -> list[Layer]:
        return [layer for layer in self.layers if isinstance(layer, Layer)]
