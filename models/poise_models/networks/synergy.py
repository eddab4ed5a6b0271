"""What SynSP and SynSP++ are both made of: encoders, branch decoder, pose quality encoding.

Shape letters: B batch, T frames of a window, M memory tokens, C = joints x dims, E width.
"""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from poise_models.base.attention import Attention
from poise_models.base.losses import refinement_loss
from poise_models.base.pose_spec import PoseSpec
from poise_models.fast.dropout import Dropout
from poise_models.fast.window_refiner import FastWindowRefiner
from poise_models.networks.dct import dct_matrix, low_pass_matrix
from poise_models.networks.synergy_config import SynergyConfig
from poise_models.networks.transformer import Decoder, DecoderLayer, encoder_layers

#: Weight of the acceleration loss for position branch, acceleration branch and final output.
SMOOTHNESS_POSITION, SMOOTHNESS_ACCELERATION, SMOOTHNESS_FINAL = 0.0, 1.0, 0.5


class Encoder(nn.Module):
    """Projection of one pose sequence, and its local encoder (paper, Eq. 1)."""

    def __init__(
        self,
        channels: int,
        config: SynergyConfig,
        attention: type[Attention],
        position_TE: Tensor,
    ) -> None:
        super().__init__()
        width = config.width
        self.project = nn.Sequential(nn.Linear(channels, width), nn.Linear(width, width))
        self.dropout = Dropout(config.dropout)
        self.layers = encoder_layers(config, attention)
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

    def __init__(
        self, channels: int, config: SynergyConfig, attention: type[Attention], trunk: int
    ) -> None:
        super().__init__()
        self.shared = config.branches == "shared"
        self.trunk = Decoder(config, attention, config.layers if self.shared else trunk)
        if not self.shared:
            self.position_layer = DecoderLayer(config, attention)
            self.acceleration_layer = DecoderLayer(config, attention)
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

    def __init__(self, config: SynergyConfig) -> None:
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


class SynergyRefiner(FastWindowRefiner):
    """SynSP or SynSP++: how both read windows, start to train, and weigh their losses."""

    config: SynergyConfig
    dct: Tensor

    def __init__(self, spec: PoseSpec, config: Any) -> None:
        super().__init__(spec, config, config.window)
        self.weights_T = config.weights_T
        self.register_buffer("dct", dct_matrix(config.window), persistent=False)
        self.skip = SkipInput(config)

    def heads(self) -> list[OutputHead]:
        """Those of the final output, and of the branches where there are any."""
        return [part for part in self.modules() if isinstance(part, OutputHead)]

    def start_from(self, offset_C: Tensor) -> None:
        """With a skip, let the first correction be the training set's mean joint offset (C,)."""
        if self.config.skip != "none":
            for head in self.heads():
                head.narrow.bias.data.copy_(-offset_C)

    def initialise(self) -> None:
        """Draw all matrices; what the heads add is a correction to the skip, and starts as none."""
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        if self.config.skip != "none":
            for head in self.heads():
                nn.init.zeros_(head.narrow.weight)
                nn.init.zeros_(head.narrow.bias)

    def transformed(self, x_BTC: Tensor) -> Tensor:
        """What the network reads of windows: their DCT over time, or themselves."""
        return self.dct @ x_BTC if self.config.input == "dct" else x_BTC


def branch_losses(
    position_BTC: Tensor | None,
    smooth_BTC: Tensor | None,
    final_BTC: Tensor,
    truth_BTC: Tensor,
    smoothness: float,
) -> Tensor:
    """The losses of Eq. 7 added up, of the outputs there are.

    The acceleration loss of position branch, acceleration branch and final output weighs 0, 1 and
    0.5, times ``smoothness``.
    """
    weighted = (
        (position_BTC, SMOOTHNESS_POSITION),
        (smooth_BTC, SMOOTHNESS_ACCELERATION),
        (final_BTC, SMOOTHNESS_FINAL),
    )
    losses = [
        refinement_loss(poses, truth_BTC, weight * smoothness)
        for poses, weight in weighted
        if poses is not None
    ]
    return torch.stack(losses).sum()


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
