"""SynSP++: synergy of smoothness and precision with neighbours from the Pose Vector Database.

The paper's Section III. Where the paper and its official code differ, the defaults are those of
docs/refiners.md and every difference is a switch of `SynSPPConfig`.

Shape letters: B batch, T frames of a window, C = joints x dims, E width.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from poise_models.base.batch import Batch, Prediction
from poise_models.base.losses import refinement_loss
from poise_models.base.pose_spec import PoseSpec
from poise_models.base.window_refiner import WindowRefiner
from poise_models.errors import ConfigError
from poise_models.networks.layers import dct_matrix
from poise_models.networks.synergy import (
    SMOOTHNESS_ACCELERATION,
    SMOOTHNESS_FINAL,
    SMOOTHNESS_POSITION,
    BranchDecoder,
    Decoder,
    Encoder,
    OutputHead,
    Sizes,
    SkipInput,
    initialise,
    pose_quality,
)

__all__ = ["SynSPP", "SynSPPConfig", "pose_quality"]

#: Layers the two branches of the first decoder have in common (paper, Eq. 2).
SHARED_LAYERS = 3


@dataclass(frozen=True)
class SynSPPConfig(Sizes):
    """Sizes and switches; the defaults are the paper's network.

    The four switches from ``retrieval`` on are the columns of Table VII. With all of them off an
    encoder and a decoder of ``layers`` layers are left; each adds to that, and builds no weights
    where it is off.

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
        weighting: of the frames in SWAA: ``plain``, the paper's mean, or ``triangular``, where
            those in the middle, which have context on both sides, count for more.
        retrieval: PVD and global decoder: the decoder's memory holds the neighbour too.
        distance_encoding: the searched-distance encoding (SDE) on the neighbour's tokens.
        refine_decoder: the two branches with their losses, and the refine decoders after them.
        quality_encoding: the pose quality encoding (PQE) on the detected window's tokens.
        smoothness: factor on all acceleration losses; its inverse is the ratio of Fig. 1(a).
    """

    pqe_max: Literal["frames", "joints"] = "frames"
    sde: Literal["sigmoid", "distance"] = "sigmoid"
    retrieval: bool = True
    distance_encoding: bool = True
    refine_decoder: bool = True
    quality_encoding: bool = True
    smoothness: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.smoothness < math.inf:
            raise ConfigError(f"smoothness must be finite, 0 or more, not {self.smoothness}")
        if self.distance_encoding and not self.retrieval:
            raise ConfigError(
                "retrieval is off: without a neighbour nothing carries a distance; set "
                "distance_encoding to false as well"
            )
        if self.quality_encoding and not self.refine_decoder:
            raise ConfigError(
                "quality_encoding compares the branches of the refine decoder, which is off; set "
                "quality_encoding to false as well"
            )


class SynSPP(WindowRefiner):
    """SynSP++ for one window length and one pose width."""

    name = "synspp"
    title = "SynSP++"
    uses_neighbours = True
    config: SynSPPConfig

    def __init__(self, spec: PoseSpec, config: SynSPPConfig) -> None:
        super().__init__(spec, config, config.window)
        self.weights_T = config.weights_T
        self.uses_neighbours = config.retrieval
        channels = spec.channels
        # The official code's position encoding: the token's number, on one channel only.
        position_TE = torch.zeros(config.window, config.width)
        position_TE[:, 0] = torch.arange(1, config.window + 1)
        self.detected_encoder = Encoder(channels, config, position_TE)
        if config.retrieval:
            self.neighbour_encoder = Encoder(channels, config, position_TE)
        if config.refine_decoder:
            self.branch_decoder = BranchDecoder(channels, config, SHARED_LAYERS)
            self.refine_decoders = nn.ModuleList(Decoder(config, config.layers) for _ in range(2))
        self.global_decoder = Decoder(config, config.layers)
        if config.distance_encoding and config.sde == "sigmoid":
            self.distance_encoding = nn.Linear(1, 1)
        self.head = OutputHead(channels, config.width)
        self.skip = SkipInput(config)
        initialise(self, self._heads(), config.skip)
        self.register_buffer("dct", dct_matrix(config.window), persistent=False)
        self.dct: Tensor

    def start_from(self, offset_C: Tensor) -> None:
        """With a skip, let the first correction be the training set's mean joint offset (C,)."""
        if self.config.skip != "none":
            for head in self._heads():
                head.narrow.bias.data.copy_(-offset_C)

    def outputs(
        self, detected_BTC: Tensor, neighbours_BKTC: Tensor, distances_BK: Tensor
    ) -> tuple[Tensor | None, Tensor | None, Tensor, Tensor | None]:
        """Position branch, acceleration branch, final (B, T, C), and the quality (B, T).

        Of the neighbours the nearest is read. What a switch leaves out is None.
        """
        centre = detected_BTC.new_zeros(1, 1, 1)
        if self.spec.centre:
            centre = self.centre_of(detected_BTC)
        x_BTC = detected_BTC - centre
        base = self.skip(x_BTC) + centre
        tokens, local = self.detected_encoder(self._transformed(x_BTC))
        memory = []
        if self.config.retrieval:
            memory.append(self._searched(neighbours_BKTC[:, 0], distances_BK[:, 0], centre))
        if not self.config.refine_decoder:
            decoded = self.global_decoder(tokens, torch.cat([*memory, local], dim=1))
            return None, None, self.head(decoded) + base, None

        position, smooth, smooth_tokens = self.branch_decoder(tokens, local)
        quality_BT = None
        if self.config.quality_encoding:
            quality_BT = pose_quality(
                position.detach(), smooth.detach(), self.spec, self.config.pqe_max
            )
            local = local + quality_BT.unsqueeze(-1)
        decoded = self.global_decoder(tokens, torch.cat([*memory, local], dim=1))
        first, second = self.refine_decoders
        refined = second(first(tokens, smooth_tokens) + tokens, smooth_tokens)
        final = self.head(refined + decoded)
        return position + base, smooth + base, final + base, quality_BT

    def forward(
        self, detected_BTC: Tensor, neighbours_BKTC: Tensor, distances_BK: Tensor
    ) -> Prediction:
        """The final output and the pose quality encoding of every frame."""
        _, _, final, quality = self.outputs(detected_BTC, neighbours_BKTC, distances_BK)
        return Prediction(final, quality)

    def loss(self, batch: Batch) -> Tensor:
        """The losses of Eq. 7, of the outputs there are.

        The weights of their accelerations are 0, 1 and 0.5, times ``smoothness``.
        """
        position, smooth, final, _ = self.outputs(
            batch.detected_BTC, batch.neighbours_BKTC, batch.distances_BK
        )
        factor = self.config.smoothness
        loss = refinement_loss(final, batch.truth_BTC, factor * SMOOTHNESS_FINAL)
        if position is not None and smooth is not None:
            loss = (
                refinement_loss(position, batch.truth_BTC, factor * SMOOTHNESS_POSITION)
                + refinement_loss(smooth, batch.truth_BTC, factor * SMOOTHNESS_ACCELERATION)
                + loss
            )
        return loss

    def _heads(self) -> tuple[OutputHead, ...]:
        if not self.config.refine_decoder:
            return (self.head,)
        branches = self.branch_decoder
        return self.head, branches.position_head, branches.acceleration_head

    def _transformed(self, x_BTC: Tensor) -> Tensor:
        return self.dct @ x_BTC if self.config.input == "dct" else x_BTC

    def _searched(self, neighbour_BTC: Tensor, distance_B: Tensor, centre_B1C: Tensor) -> Tensor:
        """Encode the neighbour and its distance; tokens (B, T, E)."""
        _, searched = self.neighbour_encoder(self._transformed(neighbour_BTC - centre_B1C))
        tokens: Tensor = searched + self._encode_distance(distance_B)
        return tokens

    def _encode_distance(self, distance_B: Tensor) -> Tensor:
        if not self.config.distance_encoding:
            return distance_B.new_zeros(())
        if self.config.sde == "distance":
            return distance_B[:, None, None]
        return torch.sigmoid(self.distance_encoding(distance_B[:, None]))[:, None]
