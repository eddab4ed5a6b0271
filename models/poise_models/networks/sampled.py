"""What DeciWatch and HANet share: refine every N-th frame, then recover the frames between.

Their layers have little in common with SynSP's (`poise_models.networks.transformer`): positions
enter every attention, norms may come first, activations leak.

Shape letters: B batch, T frames of a window, S sampled frames of it, C = joints x dims, L query
tokens, M memory tokens, E width.
"""

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from poise_models.base.batch import Prediction
from poise_models.base.pose_spec import PoseSpec
from poise_models.errors import ConfigError
from poise_models.fast.dropout import Dropout
from poise_models.fast.window_refiner import FastWindowRefiner

TEMPERATURE = 10_000.0
TOKEN_FRAMES = 5


@dataclass(frozen=True)
class SampledConfig:
    """A window of Q x ``interval`` + 1 frames, of which every ``interval``-th is looked at.

    ``layers`` counts the encoder's and the decoder's each. ``pre_norm`` puts LayerNorms before
    attention (3D) or after it (2D and SMPL). Windows start every ``stride`` frames in `refine`.
    """

    window: int = 101
    interval: int = 10
    stride: int = 10
    width: int = 128
    layers: int = 5
    heads: int = 4
    dropout: float = 0.1
    pre_norm: bool = True

    def __post_init__(self) -> None:
        if self.interval < 1 or self.window <= self.interval or (self.window - 1) % self.interval:
            raise ConfigError(
                f"window must be a multiple of interval plus 1, and {self.window} is none of "
                f"{self.interval}"
            )
        if not 1 <= self.stride <= self.window:
            raise ConfigError("stride must lie in [1, window]: every frame wants a window")
        if min(self.heads, self.layers, self.width) < 1 or self.width % math.lcm(2, self.heads):
            raise ConfigError("layers and heads >= 1, and width even and a multiple of heads")


def sine_encoding(length: int, width: int) -> Tensor:
    """Positions of a window as sines and cosines, (T, E); the window spans one full turn."""
    turn = torch.linspace(0, 2 * math.pi, length)
    half = torch.arange(width // 2)
    angle = turn[:, None] / TEMPERATURE ** (2 * half / (width // 2))
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)


class PositionedAttention(nn.Module):
    """Attention with residual; positions enter queries and keys, never the values."""

    def __init__(self, config: SampledConfig, width: int) -> None:
        super().__init__()
        self.pre_norm = config.pre_norm
        self.norm = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(
            width, config.heads, dropout=config.dropout, batch_first=True
        )
        self.dropout = Dropout(config.dropout)

    def forward(
        self,
        x_BLE: Tensor,
        position_LE: Tensor,
        memory: tuple[Tensor, Tensor] | None = None,
        mask_LM: Tensor | None = None,
    ) -> Tensor:
        """Attend to ``memory``, tokens (B, M, E) and their positions (M, E), or to oneself."""
        query = self.norm(x_BLE) if self.pre_norm else x_BLE
        value, where = memory or (query, position_LE)
        update, _ = self.attention(
            query + position_LE, value + where, value, attn_mask=mask_LM, need_weights=False
        )
        out: Tensor = x_BLE + self.dropout(update)
        return out if self.pre_norm else self.norm(out)


class ResidualFeedForward(nn.Module):
    """Two linear layers with residual."""

    def __init__(self, config: SampledConfig, width: int, inner: int) -> None:
        super().__init__()
        self.pre_norm = config.pre_norm
        self.norm = nn.LayerNorm(width)
        self.body = nn.Sequential(
            nn.Linear(width, inner),
            nn.LeakyReLU(),
            Dropout(config.dropout),
            nn.Linear(inner, width),
            Dropout(config.dropout),
        )

    def forward(self, x_BLE: Tensor) -> Tensor:
        """Map (B, L, E) to (B, L, E), token by token."""
        out: Tensor = x_BLE + self.body(self.norm(x_BLE) if self.pre_norm else x_BLE)
        return out if self.pre_norm else self.norm(out)


class SampledEncoderLayer(nn.Module):
    """Attention among the sampled frames, none of which sees itself."""

    blind_SS: Tensor

    def __init__(self, config: SampledConfig, width: int, inner: int) -> None:
        super().__init__()
        self.attention = PositionedAttention(config, width)
        self.feed_forward = ResidualFeedForward(config, width, inner)
        sampled = (config.window - 1) // config.interval + 1
        self.register_buffer("blind_SS", torch.eye(sampled, dtype=torch.bool), persistent=False)

    def forward(self, x_BSE: Tensor, position_SE: Tensor) -> Tensor:
        """Map (B, S, E) to (B, S, E)."""
        attended = self.attention(x_BSE, position_SE, mask_LM=self.blind_SS)
        out: Tensor = self.feed_forward(attended)
        return out


class FrameDecoderLayer(nn.Module):
    """Attention among all frames of a window, then to the sampled ones."""

    def __init__(self, config: SampledConfig, inner: int) -> None:
        super().__init__()
        self.self_attention = PositionedAttention(config, config.width)
        self.cross_attention = PositionedAttention(config, config.width)
        self.feed_forward = ResidualFeedForward(config, config.width, inner)

    def forward(self, x_BTE: Tensor, position_TE: Tensor, memory: tuple[Tensor, Tensor]) -> Tensor:
        """Map (B, T, E) to (B, T, E)."""
        x_BTE = self.self_attention(x_BTE, position_TE)
        out: Tensor = self.feed_forward(self.cross_attention(x_BTE, position_TE, memory))
        return out


class Recovery(nn.Module):
    """From refined sampled frames to all frames: straight lines, and a decoder's correction."""

    position_TE: Tensor

    def __init__(self, spec: PoseSpec, config: SampledConfig, inner: int) -> None:
        super().__init__()
        self.window, self.interval = config.window, config.interval
        self.embed = nn.Conv1d(spec.channels, config.width, TOKEN_FRAMES, padding=TOKEN_FRAMES // 2)
        self.layers = nn.ModuleList(FrameDecoderLayer(config, inner) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, spec.channels)
        position_TE = sine_encoding(config.window, config.width)
        self.register_buffer("position_TE", position_TE, persistent=False)

    def forward(self, refined_BSC: Tensor, memory_BSE: Tensor) -> Tensor:
        """All frames, (B, T, C), from refined ones (B, S, C) and what is known about them."""
        lines_BCT = functional.interpolate(
            refined_BSC.transpose(1, 2), size=self.window, mode="linear", align_corners=True
        )
        x_BTE = self.embed(lines_BCT).transpose(1, 2)
        memory = (memory_BSE, self.position_TE[:: self.interval])
        for layer in self.layers:
            x_BTE = layer(x_BTE, self.position_TE, memory)
        out: Tensor = self.head(self.norm(x_BTE)) + lines_BCT.transpose(1, 2)
        return out


class SampledRefiner(FastWindowRefiner):
    """A network that refines every N-th frame and recovers the others from these."""

    chunk: ClassVar[int] = 64
    config: SampledConfig
    recovery: Recovery

    def __init__(self, spec: PoseSpec, config: SampledConfig) -> None:
        super().__init__(spec, config, config.window)
        self.stride = config.stride

    @abstractmethod
    def denoise(self, poses_BTC: Tensor) -> tuple[Tensor, Tensor]:
        """Refine the sampled frames: poses (B, S, C), and their memory (B, S, E)."""

    def sampled(self, poses_BTC: Tensor) -> Tensor:
        """Every N-th frame, (B, S, C)."""
        return poses_BTC[:, :: self.config.interval]

    def branches(self, detected_BTC: Tensor) -> tuple[Tensor, Tensor]:
        """All frames recovered, (B, T, C), and the sampled frames refined, (B, S, C)."""
        # The mean over all frames would let the network see those it does not look at.
        centre = self.centre_of(self.sampled(detected_BTC))
        refined_BSC, memory_BSE = self.denoise(detected_BTC - centre)
        return self.recovery(refined_BSC, memory_BSE) + centre, refined_BSC + centre

    def forward(
        self, detected_BTC: Tensor, neighbours_BKTC: Tensor, distances_BK: Tensor
    ) -> Prediction:
        """Refine windows (B, T, C); neighbours are not looked at."""
        return Prediction(self.branches(detected_BTC)[0])
