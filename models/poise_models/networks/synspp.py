"""SynSP++: synergy of smoothness and precision with neighbours from the Pose Vector Database.

The paper's Section III. Where the paper and its official code differ, the defaults are those of
docs/refiners.md and every difference is a switch of `SynSPPConfig`.

Shape letters: B batch, T frames of a window, C = joints x dims, E width.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from poise_models.base.attention import Attention
from poise_models.base.batch import Batch, Prediction
from poise_models.base.pose_spec import PoseSpec
from poise_models.errors import ConfigError
from poise_models.fast.attention import FusedAttention
from poise_models.networks.synergy import (
    BranchDecoder,
    Encoder,
    OutputHead,
    SynergyRefiner,
    branch_losses,
    pose_quality,
)
from poise_models.networks.synergy_config import SynergyConfig
from poise_models.networks.transformer import Decoder

#: Layers the two branches of the first decoder have in common (paper, Eq. 2).
SHARED_LAYERS = 3


@dataclass(frozen=True)
class SynSPPConfig(SynergyConfig):
    """Sizes and switches; the defaults are the paper's network.

    The four switches from ``retrieval`` on are the columns of Table VII. With all of them off an
    encoder and a decoder of ``layers`` layers are left; each adds to that, and builds no weights
    where it is off. `SynergyConfig` describes the sizes and switches that SynSP has too.

    Attributes:
        pqe_max: the pose quality encoding is normalised over the window's frames, or over joints
            (Eq. 4 as printed).
        sde: the searched-distance encoding, sigmoid(w d + b) or the squared distance d itself.
        retrieval: PVD and global decoder: the decoder's memory holds the neighbour too.
        distance_encoding: the searched-distance encoding (SDE) on the neighbour's tokens.
        refine_decoder: the two branches with their losses, and the refine decoders after them.
        quality_encoding: the pose quality encoding (PQE) on the detected window's tokens.
    """

    pqe_max: Literal["frames", "joints"] = "frames"
    sde: Literal["sigmoid", "distance"] = "sigmoid"
    retrieval: bool = True
    distance_encoding: bool = True
    refine_decoder: bool = True
    quality_encoding: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
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


class SynSPP(SynergyRefiner):
    """SynSP++ for one window length and one pose width."""

    name = "synspp"
    title = "SynSP++"
    uses_neighbours = True
    config: SynSPPConfig

    def __init__(
        self,
        spec: PoseSpec,
        config: SynSPPConfig,
        attention: type[Attention] = FusedAttention,
    ) -> None:
        super().__init__(spec, config)
        self.uses_neighbours = config.retrieval
        channels = spec.channels
        # The official code's position encoding: the token's number, on one channel only.
        position_TE = torch.zeros(config.window, config.width)
        position_TE[:, 0] = torch.arange(1, config.window + 1)
        self.detected_encoder = Encoder(channels, config, attention, position_TE)
        if config.retrieval:
            self.neighbour_encoder = Encoder(channels, config, attention, position_TE)
        if config.refine_decoder:
            self.branch_decoder = BranchDecoder(channels, config, attention, SHARED_LAYERS)
            self.refine_decoders = nn.ModuleList(
                Decoder(config, attention, config.layers) for _ in range(2)
            )
        self.global_decoder = Decoder(config, attention, config.layers)
        if config.distance_encoding and config.sde == "sigmoid":
            self.distance_encoding = nn.Linear(1, 1)
        self.head = OutputHead(channels, config.width)
        self.initialise()

    def outputs(
        self, detected_BTC: Tensor, neighbours_BKTC: Tensor, distances_BK: Tensor
    ) -> tuple[Tensor | None, Tensor | None, Tensor, Tensor | None]:
        """Position branch, acceleration branch, final (B, T, C), and the quality (B, T).

        Of the neighbours the nearest is read. What a switch leaves out is None.
        """
        centre = self.centre_of(detected_BTC)
        x_BTC = detected_BTC - centre
        base = self.skip(x_BTC) + centre
        tokens, local = self.detected_encoder(self.transformed(x_BTC))
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
        """The losses of Eq. 7 (`branch_losses`), of the outputs there are."""
        position, smooth, final, _ = self.outputs(
            batch.detected_BTC, batch.neighbours_BKTC, batch.distances_BK
        )
        return branch_losses(position, smooth, final, batch.truth_BTC, self.config.smoothness)

    def _searched(self, neighbour_BTC: Tensor, distance_B: Tensor, centre_B1C: Tensor) -> Tensor:
        """Encode the neighbour and its distance; tokens (B, T, E)."""
        _, searched = self.neighbour_encoder(self.transformed(neighbour_BTC - centre_B1C))
        tokens: Tensor = searched + self._encode_distance(distance_B)
        return tokens

    def _encode_distance(self, distance_B: Tensor) -> Tensor:
        if not self.config.distance_encoding:
            return distance_B.new_zeros(())
        if self.config.sde == "distance":
            return distance_B[:, None, None]
        return torch.sigmoid(self.distance_encoding(distance_B[:, None]))[:, None]
