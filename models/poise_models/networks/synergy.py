"""What SynSP and SynSP++ are both made of: encoders, branch decoder, pose quality encoding.

Shape letters: B batch, T frames of a window, M memory tokens, C = joints x dims, E width.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from poise_models.base.pose_spec import PoseSpec
from poise_models.base.windows import triangle
from poise_models.errors import ConfigError
from poise_models.fast.dropout import Dropout
from poise_models.networks.layers import DecoderLayer, EncoderLayer, low_pass_matrix

#: Weight of the acceleration loss for position branch, acceleration branch and final output.
SMOOTHNESS_POSITION, SMOOTHNESS_ACCELERATION, SMOOTHNESS_FINAL = 0.0, 1.0, 0.5


@dataclass(frozen=True)
class Sizes:
    """Sizes and switches that SynSP and SynSP++ share; a description is at `SynSPPConfig`."""

    window: int = 8
    width: int = 128
    feed_forward: int = 128
    heads: int = 5
    layers: int = 5
    dropout: float = 0.2
    input: Literal["dct", "pose"] = "dct"
    branches: Literal["split", "shared"] = "split"
    self_attention: bool = False
    skip: Literal["none", "input", "low"] = "none"
    skip_coefficients: int = 3
    weighting: Literal["plain", "triangular"] = "plain"

    def __post_init__(self) -> None:
        if self.window < 3:
            raise ConfigError(f"window must be at least 3 frames, not {self.window}")
        if min(self.width, self.feed_forward, self.heads, self.layers) < 1:
            raise ConfigError("width, feed_forward, heads and layers must be positive")
        if not 1 <= self.skip_coefficients <= self.window:
            raise ConfigError("skip_coefficients must lie between 1 and the window's frames")
        if self.weighting not in ("plain", "triangular"):
            raise ConfigError(f"weighting must be plain or triangular, not {self.weighting!r}")

    @property
    def weights_T(self) -> tuple[float, ...] | None:
        """What each frame of a window counts for in SWAA; None is the plain mean."""
        return triangle(self.window) if self.weighting == "triangular" else None


class Decoder(nn.Module):
    """A stack of decoder layers over one memory."""

    def __init__(self, config: Sizes, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(decoder_layer(config) for _ in range(layers))

    def forward(self, query_BTE: Tensor, memory_BME: Tensor) -> Tensor:
        """Map the query (B, T, E), looking at the memory (B, M, E)."""
        for layer in self.layers:
            query_BTE = layer(query_BTE, memory_BME)
        return query_BTE


class Encoder(nn.Module):
    """Projection of one pose sequence, and its local encoder (paper, Eq. 1)."""

    def __init__(self, channels: int, config: Sizes, position_TE: Tensor) -> None:
        super().__init__()
        width = config.width
        self.project = nn.Sequential(nn.Linear(channels, width), nn.Linear(width, width))
        self.dropout = Dropout(config.dropout)
        self.layers = nn.Sequential(
            *[
                EncoderLayer(width, config.feed_forward, config.heads, config.dropout)
                for _ in range(config.layers)
            ]
        )
        self.register_buffer("position", position_TE, persistent=False)
        self.position: Tensor

    def forward(self, x_BTC: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens before and after the encoder layers, both (B, T, E)."""
        tokens = self.project(x_BTC)
        return tokens, self.layers(self.dropout(tokens + self.position))


class OutputHead(nn.Module):
    """Tokens to poses: E -> 2E -> C without an activation."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.widen = nn.Linear(width, 2 * width)
        self.narrow = nn.Linear(2 * width, channels)

    def forward(self, tokens_BTE: Tensor) -> Tensor:
        """Map (B, T, E) to (B, T, C)."""
        poses: Tensor = self.narrow(self.widen(tokens_BTE))
        return poses


class BranchDecoder(nn.Module):
    """The first decoder: one trunk, two branches, one precise and one smooth (Eq. 2).

    ``trunk`` is the number of layers in common where each branch has a last layer of its own.
    """

    def __init__(self, channels: int, config: Sizes, trunk: int) -> None:
        super().__init__()
        self.shared = config.branches == "shared"
        self.trunk = Decoder(config, config.layers if self.shared else trunk)
        if not self.shared:
            self.position_layer = decoder_layer(config)
            self.acceleration_layer = decoder_layer(config)
        self.position_head = OutputHead(channels, config.width)
        self.acceleration_head = OutputHead(channels, config.width)

    def forward(self, tokens_BTE: Tensor, memory_BME: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Position poses, acceleration poses (B, T, C), and the latter's tokens (B, T, E)."""
        trunk = self.trunk(tokens_BTE, memory_BME)
        position_layer = self.trunk.layers[-1] if self.shared else self.position_layer
        acceleration_layer = self.trunk.layers[-1] if self.shared else self.acceleration_layer
        position = position_layer(trunk, memory_BME) + tokens_BTE
        smooth = acceleration_layer(trunk, memory_BME) + tokens_BTE
        return self.position_head(position), self.acceleration_head(smooth), smooth


class SkipInput(nn.Module):
    """What outputs are relative to, as a window: nothing, the input, or its low frequencies."""

    def __init__(self, config: Sizes) -> None:
        super().__init__()
        self.kind = config.skip
        low = low_pass_matrix(config.window, config.skip_coefficients)
        self.register_buffer("low_pass", low, persistent=False)
        self.low_pass: Tensor

    def forward(self, x_BTC: Tensor) -> Tensor:
        """Map (..., T, C) to the same."""
        match self.kind:
            case "none":
                return torch.zeros_like(x_BTC)
            case "input":
                return x_BTC
            case "low":
                return self.low_pass @ x_BTC


def initialise(network: nn.Module, heads: Iterable[OutputHead], skip: str) -> None:
    """Draw all matrices; what the heads add is a correction to the skip, and starts as none."""
    for parameter in network.parameters():
        if parameter.dim() > 1:
            nn.init.xavier_uniform_(parameter)
    if skip != "none":
        for head in heads:
            nn.init.zeros_(head.narrow.weight)
            nn.init.zeros_(head.narrow.bias)


def sinusoid(tokens: int, width: int) -> Tensor:
    """Sine and cosine position encoding, (tokens, E)."""
    place = torch.arange(tokens, dtype=torch.float64)[:, None]
    channel = torch.arange(width)
    angle = place * torch.exp(-math.log(10_000) * 2 * (channel // 2) / width)
    return torch.where(channel % 2 == 0, angle.sin(), angle.cos()).float()


def pose_quality(
    position_BTC: Tensor, smooth_BTC: Tensor, spec: PoseSpec, over: Literal["frames", "joints"]
) -> Tensor:
    """Pose quality encoding (Eq. 4): near 1 where the branches agree, never below exp(-1).

    The branches' difference is divided by its maximum over the window's frames, separately per
    coordinate, or over a frame's joints, separately per dimension.

    Args:
        position_BTC: precise branch, (B, T, C).
        smooth_BTC: smooth branch, (B, T, C).
        spec: gives the joints to reduce over.
        over: axis of the normalising maximum.

    Returns:
        (B, T).
    """
    shape = (*position_BTC.shape[:2], spec.joints, spec.dims)
    difference = ((position_BTC - smooth_BTC).abs() / 2).reshape(shape)
    largest = difference.amax(dim=1 if over == "frames" else 2, keepdim=True)
    return torch.exp(-(difference + 1e-6) / (largest + 1e-5)).mean(dim=(2, 3))


def decoder_layer(config: Sizes) -> DecoderLayer:
    """A decoder layer of the configured size."""
    return DecoderLayer(
        config.width, config.feed_forward, config.heads, config.dropout, config.self_attention
    )
