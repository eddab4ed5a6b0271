"""SynSP++: synergy of smoothness and precision with neighbours from the Pose Vector Database.

The paper's Section III. Where the paper and its official code differ, the defaults are those of
docs/refiners.md and every difference is a switch of `SynSPPConfig`.

Shape letters: B batch, T frames of a window, C = joints x dims, E width.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from poise_models.errors import ConfigError
from poise_models.layers import DecoderLayer, EncoderLayer, dct_matrix, low_pass_matrix
from poise_models.losses import refinement_loss
from poise_models.refiner import Batch, PoseSpec, Prediction, WindowRefiner

#: Weight of the acceleration loss for position branch, acceleration branch and final output.
SMOOTHNESS_POSITION, SMOOTHNESS_ACCELERATION, SMOOTHNESS_FINAL = 0.0, 1.0, 0.5
#: Layers the two branches of the first decoder have in common (paper, Eq. 2).
SHARED_LAYERS = 3


@dataclass(frozen=True)
class SynSPPConfig:
    """Sizes and switches; the defaults are the paper's network.

    Attributes:
        input: what the network reads: the window's DCT-II over time, or the poses themselves.
        branches: ``split`` gives position and acceleration branch a last layer each (paper);
            ``shared`` applies the fifth layer once more for both (official code).
        self_attention: self-attention in the decoders (the standard layer; off in the code).
        pqe_max: the pose quality encoding is normalised over the window's frames, or over joints
            (Eq. 4 as printed).
        sde: the searched-distance encoding, sigmoid(w d + b) or the squared distance d itself.
        skip: what the outputs are relative to: nothing (absolute coordinates, the paper), the
            detected window, or its first ``skip_coefficients`` DCT coefficients.
    """

    window: int = 8
    width: int = 128
    feed_forward: int = 128
    heads: int = 5
    layers: int = 5
    dropout: float = 0.2
    input: Literal["dct", "pose"] = "dct"
    branches: Literal["split", "shared"] = "split"
    self_attention: bool = False
    pqe_max: Literal["frames", "joints"] = "frames"
    sde: Literal["sigmoid", "distance"] = "sigmoid"
    skip: Literal["none", "input", "low"] = "none"
    skip_coefficients: int = 3

    def __post_init__(self) -> None:
        if self.window < 3:
            raise ConfigError(f"window must be at least 3 frames, not {self.window}")
        if min(self.width, self.feed_forward, self.heads, self.layers) < 1:
            raise ConfigError("width, feed_forward, heads and layers must be positive")
        if not 1 <= self.skip_coefficients <= self.window:
            raise ConfigError("skip_coefficients must lie between 1 and the window's frames")


class Decoder(nn.Module):
    """A stack of decoder layers over one memory."""

    def __init__(self, config: SynSPPConfig, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(decoder_layer(config) for _ in range(layers))

    def forward(self, query_BTE: Tensor, memory_BME: Tensor) -> Tensor:
        """Map the query (B, T, E), looking at the memory (B, M, E)."""
        for layer in self.layers:
            query_BTE = layer(query_BTE, memory_BME)
        return query_BTE


class Encoder(nn.Module):
    """Projection of one pose sequence, and its local encoder (paper, Eq. 1)."""

    def __init__(self, channels: int, config: SynSPPConfig) -> None:
        super().__init__()
        width = config.width
        self.project = nn.Sequential(nn.Linear(channels, width), nn.Linear(width, width))
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.Sequential(
            *[
                EncoderLayer(width, config.feed_forward, config.heads, config.dropout)
                for _ in range(config.layers)
            ]
        )
        # The official code's position encoding: the token's number, on one channel only.
        position = torch.zeros(config.window, width)
        position[:, 0] = torch.arange(1, config.window + 1)
        self.register_buffer("position", position, persistent=False)
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
    """The first decoder: one trunk, two branches, one precise and one smooth (Eq. 2)."""

    def __init__(self, channels: int, config: SynSPPConfig) -> None:
        super().__init__()
        self.shared = config.branches == "shared"
        self.trunk = Decoder(config, config.layers if self.shared else SHARED_LAYERS)
        if not self.shared:
            self.position_layer = decoder_layer(config)
            self.acceleration_layer = decoder_layer(config)
        self.position_head = OutputHead(channels, config.width)
        self.acceleration_head = OutputHead(channels, config.width)

    def forward(self, tokens_BTE: Tensor, memory_BTE: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Position poses, acceleration poses (B, T, C), and the latter's tokens (B, T, E)."""
        trunk = self.trunk(tokens_BTE, memory_BTE)
        last = self.trunk.layers[-1]
        position_layer = last if self.shared else self.position_layer
        acceleration_layer = last if self.shared else self.acceleration_layer
        position = position_layer(trunk, memory_BTE) + tokens_BTE
        smooth = acceleration_layer(trunk, memory_BTE) + tokens_BTE
        return self.position_head(position), self.acceleration_head(smooth), smooth


class SynSPP(WindowRefiner):
    """SynSP++ for one window length and one pose width."""

    name = "synspp"
    title = "SynSP++"
    uses_neighbours = True
    config: SynSPPConfig

    def __init__(self, spec: PoseSpec, config: SynSPPConfig) -> None:
        super().__init__(spec, config, config.window)
        channels = spec.channels
        self.detected_encoder = Encoder(channels, config)
        self.neighbour_encoder = Encoder(channels, config)
        self.branch_decoder = BranchDecoder(channels, config)
        self.refine_decoders = nn.ModuleList(Decoder(config, config.layers) for _ in range(2))
        self.global_decoder = Decoder(config, config.layers)
        self.distance_encoding = nn.Linear(1, 1)
        self.head = OutputHead(channels, config.width)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        if config.skip != "none":
            # What the heads add is a correction to the skip, and starts as none.
            for head in self._heads():
                nn.init.zeros_(head.narrow.weight)
                nn.init.zeros_(head.narrow.bias)
        self.register_buffer("dct", dct_matrix(config.window), persistent=False)
        low = low_pass_matrix(config.window, config.skip_coefficients)
        self.register_buffer("low_pass", low, persistent=False)
        self.dct: Tensor
        self.low_pass: Tensor

    def start_from(self, offset_C: Tensor) -> None:
        """With a skip, let the first correction be the training set's mean joint offset (C,)."""
        if self.config.skip != "none":
            for head in self._heads():
                head.narrow.bias.data.copy_(-offset_C)

    def outputs(
        self, detected_BTC: Tensor, neighbour_BTC: Tensor, distance_B: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Position branch, acceleration branch, final (B, T, C), and the quality (B, T)."""
        config = self.config
        centre = self.centre_of(detected_BTC) if self.spec.centre else 0.0
        x_BTC, s_BTC = detected_BTC - centre, neighbour_BTC - centre
        base = self._skip(x_BTC) + centre
        if config.input == "dct":
            x_BTC, s_BTC = self.dct @ x_BTC, self.dct @ s_BTC

        tokens, local = self.detected_encoder(x_BTC)
        _, searched = self.neighbour_encoder(s_BTC)
        position, smooth, smooth_tokens = self.branch_decoder(tokens, local)
        quality_BT = pose_quality(position.detach(), smooth.detach(), self.spec, config.pqe_max)

        searched = searched + self._encode_distance(distance_B)
        memory = torch.cat([searched, local + quality_BT.unsqueeze(-1)], dim=1)
        overall = self.global_decoder(tokens, memory)
        first, second = self.refine_decoders
        refined = second(first(tokens, smooth_tokens) + tokens, smooth_tokens)
        final = self.head(refined + overall)
        return position + base, smooth + base, final + base, quality_BT

    def forward(
        self, detected_BTC: Tensor, neighbour_BTC: Tensor, distance_B: Tensor
    ) -> Prediction:
        """The final output and the pose quality encoding of every frame."""
        _, _, final, quality = self.outputs(detected_BTC, neighbour_BTC, distance_B)
        return Prediction(final, quality)

    def loss(self, batch: Batch) -> Tensor:
        """The three losses of Eq. 7 with their acceleration weights 0, 1 and 0.5."""
        position, smooth, final, _ = self.outputs(
            batch.detected_BTC, batch.neighbour_BTC, batch.distance_B
        )
        return (
            refinement_loss(position, batch.truth_BTC, SMOOTHNESS_POSITION)
            + refinement_loss(smooth, batch.truth_BTC, SMOOTHNESS_ACCELERATION)
            + refinement_loss(final, batch.truth_BTC, SMOOTHNESS_FINAL)
        )

    def _heads(self) -> tuple["OutputHead", ...]:
        branches = self.branch_decoder
        return self.head, branches.position_head, branches.acceleration_head

    def _skip(self, x_BTC: Tensor) -> Tensor:
        match self.config.skip:
            case "none":
                return torch.zeros_like(x_BTC)
            case "input":
                return x_BTC
            case "low":
                return self.low_pass @ x_BTC

    def _encode_distance(self, distance_B: Tensor) -> Tensor:
        if self.config.sde == "distance":
            return distance_B[:, None, None]
        return torch.sigmoid(self.distance_encoding(distance_B[:, None]))[:, None]


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


def decoder_layer(config: SynSPPConfig) -> DecoderLayer:
    """A decoder layer of the configured size."""
    return DecoderLayer(
        config.width, config.feed_forward, config.heads, config.dropout, config.self_attention
    )
