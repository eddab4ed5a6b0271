"""SynSP: SynSP++'s predecessor, which refines one view, or several views of a moment together.

Two rows of the paper's Table VI give it people in place of views. The dagger trains on groups of
random windows of a batch. At inference a window's partners must not be whoever shares its batch, so
it stands in for all of them: that tells the network nothing about anyone, and keeps the number of
tokens it has learnt with. The star is the same network with the window's nearest poses of the Pose
Vector Database as partners, brought into the window's frame; those are truth poses, while training
saw detected ones.

The official code's path for several views trains and reports an intermediate output, and takes the
acceleration along the views. Here the final output is reported and has the loss of the final
output, and acceleration is along time.

Shape letters: B batch, V views, T frames of a window, C = joints x dims, E width, M = V x T tokens.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from poise_models.base.attention import Attention
from poise_models.base.batch import Batch, Prediction
from poise_models.base.budget import Budget
from poise_models.base.clip import Clip, Refined
from poise_models.base.pose_spec import PoseSpec
from poise_models.errors import ConfigError, ShapeError
from poise_models.fast.attention import FusedAttention
from poise_models.fast.dropout import Dropout
from poise_models.networks.synergy import (
    BranchDecoder,
    Encoder,
    OutputHead,
    SynergyRefiner,
    branch_losses,
    pose_quality,
)
from poise_models.networks.synergy_config import SynergyConfig
from poise_models.networks.transformer import Decoder, encoder_layers


@dataclass(frozen=True)
class SynSPConfig(SynergyConfig):
    """Sizes and switches; `SynergyConfig` describes those that SynSP++ has too.

    Attributes:
        views: windows that are refined together.
        partners: what they are: ``views`` of one moment, or ``random`` people; ``similar`` trains
            like ``random``, and refines together with the ``views`` - 1 nearest poses of the PVD.
        view_encoding: tokens of several views are numbered on from view to view, so the network
            knows its cameras by their order; without it, as in the official code, it does not.
            People have no order, and never this encoding.
    """

    heads: int = 4
    layers: int = 4
    views: int = 1
    partners: Literal["views", "random", "similar"] = "views"
    view_encoding: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.views < 1:
            raise ConfigError(f"views must be at least 1, not {self.views}")
        if self.partners not in ("views", "random", "similar"):
            raise ConfigError(f"partners must be views, random or similar, not {self.partners!r}")
        if self.partners != "views" and self.views < 2:
            raise ConfigError(f"partners {self.partners} need views of at least 2")


class SynSP(SynergyRefiner):
    """SynSP for one window length, one pose width and a fixed number of views."""

    name = "synsp"
    title = "SynSP"
    published = Budget(epochs=10, batch=64, decay=0.8, optimiser="amsgrad", scale=0.1)
    config: SynSPConfig
    position: Tensor
    same_view: Tensor

    def __init__(
        self,
        spec: PoseSpec,
        config: SynSPConfig,
        attention: type[Attention] = FusedAttention,
    ) -> None:
        super().__init__(spec, config)
        self.uses_neighbours = config.partners == "similar"
        self.neighbours = config.views - 1 if self.uses_neighbours else 1
        self.views = config.views if config.partners == "views" else 1
        channels, width = spec.channels, config.width
        position_TE = sinusoid(config.window, width)
        self.local_encoder = Encoder(channels, config, attention, position_TE)
        self.dropout = Dropout(config.dropout)
        self.global_encoder = encoder_layers(config, attention)
        trunk = max(config.layers - 2, 0)
        self.branch_decoder = BranchDecoder(channels, config, attention, trunk)
        self.final_decoder = Decoder(config, attention, config.layers)
        self.head = OutputHead(channels, width)
        self.initialise()
        numbered = config.partners == "views" and config.view_encoding
        place_ME = sinusoid(config.views * config.window, width)
        position_ME = place_ME if numbered else position_TE.repeat(config.views, 1)
        self.register_buffer("position", position_ME, persistent=False)
        same_view = torch.eye(config.views)[:, :, None]
        self.register_buffer("same_view", same_view, persistent=False)

    def outputs(self, detected_BVTC: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Position branch, acceleration branch, final (B, V, T, C), and the quality (B, V, T).

        Raises:
            ShapeError: not as many views as the network was built for.
        """
        views = self.config.views
        if detected_BVTC.dim() != 4 or detected_BVTC.shape[1] != views:
            raise ShapeError(
                f"{self.name} was built for windows of {views} views, (B, {views}, T, C), and got "
                f"{tuple(detected_BVTC.shape)}; they are the views of a moment"
            )
        x_NTC = detected_BVTC.flatten(0, 1)  # N = B x V
        centre = self.centre_of(x_NTC)
        x_NTC = x_NTC - centre
        relative_to = self.skip(x_NTC)
        tokens, local = self.local_encoder(self.transformed(x_NTC))
        together_BME = tokens.unflatten(0, (-1, views)).flatten(1, 2) + self.position
        together_BME = self.global_encoder(self.dropout(together_BME))
        shared_BVME = together_BME.unsqueeze(1).expand(-1, views, -1, -1)

        alike_BVM = self._similarity(x_NTC)
        memory = torch.cat([local, self._encoded(shared_BVME, alike_BVM)], dim=1)
        position, smooth, smooth_tokens = self.branch_decoder(tokens, memory)
        quality_NT = pose_quality(position.detach(), smooth.detach(), self.spec, "frames")
        quality_BVT = quality_NT.unflatten(0, (-1, views))
        position, smooth = position + relative_to, smooth + relative_to

        alike_BVM = self._similarity(((position + smooth) / 2).detach())
        own_BVM = (quality_BVT.unsqueeze(2) * self.same_view).flatten(2)
        memory = torch.cat([smooth_tokens, self._encoded(shared_BVME, alike_BVM + own_BVM)], dim=1)
        final = self.head(self.final_decoder(tokens, memory) + tokens) + relative_to
        position, smooth, final = (
            (poses + centre).unflatten(0, (-1, views)) for poses in (position, smooth, final)
        )
        return position, smooth, final, quality_BVT

    def forward(
        self, detected_BTC: Tensor, neighbours_BKTC: Tensor, distances_BK: Tensor
    ) -> Prediction:
        """Refine windows (B, T, C), or all views of moments, (B, V, T, C), which come out alike.

        Neighbours (B, V - 1, T, C) are read by ``similar`` only.
        """
        if detected_BTC.dim() == 4:
            _, _, final, quality = self.outputs(detected_BTC)
            return Prediction(final, quality)
        own = detected_BTC.unsqueeze(1)
        if self.config.partners == "random":
            own = own.expand(-1, self.config.views, -1, -1)
        elif self.config.partners == "similar":
            own = torch.cat([own, neighbours_BKTC], dim=1)
        _, _, final, quality = self.outputs(own)
        return Prediction(final[:, 0], quality[:, 0])

    def loss(self, batch: Batch) -> Tensor:
        """The losses of SynSP++'s Eq. 7, of every view; acceleration is along time.

        Without views of a moment, the windows of a batch are put together in groups as they come,
        which is at random; the first ones fill up the last group.
        """
        detected, truth = batch.detected_BTC, batch.truth_BTC
        if detected.dim() == 3:
            detected, truth = self._grouped(detected), self._grouped(truth)
        *outputs, _ = self.outputs(detected)
        position, smooth, final = (poses.flatten(0, 1) for poses in outputs)
        truth_NTC = truth.flatten(0, 1)
        return branch_losses(position, smooth, final, truth_NTC, self.config.smoothness)

    @torch.inference_mode()
    def refine(self, clips: Sequence[Clip]) -> list[Refined]:
        """Refine sequences; with several views, the views of a take follow one another.

        Raises:
            ShapeError: a take is not complete, or its views differ in length.
        """
        if self.views == 1:
            return super().refine(clips)
        if len(clips) % self.views:
            raise ShapeError(
                f"{self.name} refines {self.views} views of a take together, one take after "
                f"another, and {len(clips)} clips are no whole number of takes"
            )
        if self.training:
            self.eval()
        firsts = range(0, len(clips), self.views)
        takes = [self._refine_take(clips[first : first + self.views]) for first in firsts]
        return [refined for take in takes for refined in take]

    def _refine_take(self, take: Sequence[Clip]) -> list[Refined]:
        lengths = {len(clip.detected_FC) for clip in take}
        if len(lengths) != 1:
            raise ShapeError(f"{self.name}: views of a take have {sorted(lengths)} frames")
        frames = lengths.pop()
        windows_NVTC = torch.stack([self.inputs_of(clip)[0] for clip in take], dim=1)
        found = self.predict(windows_NVTC, windows_NVTC, windows_NVTC.new_ones(len(windows_NVTC)))
        assert found.quality_BT is not None  # noqa: S101  (SynSP always knows it)
        poses = self.averaged(found.poses_BTC.unbind(1), [frames] * self.views)
        quality = self.averaged(found.quality_BT.unbind(1), [frames] * self.views)
        return [Refined(one, its_quality) for one, its_quality in zip(poses, quality, strict=True)]

    def _similarity(self, x_NTC: Tensor) -> Tensor:
        """Pose similarity encoding: of each view to every token's pose, (B, V, M)."""
        x_BVTC = x_NTC.unflatten(0, (-1, self.config.views))
        apart = (x_BVTC.unsqueeze(2) - x_BVTC.unsqueeze(1)).square().mean(dim=-1)
        return torch.exp(-apart).flatten(2)

    def _encoded(self, shared_BVME: Tensor, encoding_BVM: Tensor) -> Tensor:
        return (shared_BVME + encoding_BVM.unsqueeze(-1)).flatten(0, 1)

    def _grouped(self, poses_BTC: Tensor) -> Tensor:
        views = self.config.views
        if views > 1 and self.config.partners == "views":
            return poses_BTC  # `outputs` says what is missing
        missing = -len(poses_BTC) % views
        first = torch.arange(missing, device=poses_BTC.device) % len(poses_BTC)
        grouped: Tensor = torch.cat([poses_BTC, poses_BTC[first]]).unflatten(0, (-1, views))
        return grouped


def sinusoid(tokens: int, width: int) -> Tensor:
    """Sine and cosine position encoding, (tokens, E)."""
    place = torch.arange(tokens, dtype=torch.float64)[:, None]
    channel = torch.arange(width)
    angle = place * torch.exp(-math.log(10_000) * 2 * (channel // 2) / width)
    return torch.where(channel % 2 == 0, angle.sin(), angle.cos()).float()
