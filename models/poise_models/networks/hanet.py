"""HANet: kinematics of sampled frames, and attention at widths that double from level to level."""

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from poise_models.base.batch import Batch
from poise_models.base.budget import Budget
from poise_models.base.pose_spec import PoseSpec
from poise_models.errors import ConfigError
from poise_models.networks.sampled import (
    Recovery,
    SampledConfig,
    SampledEncoderLayer,
    SampledRefiner,
    sine_encoding,
)

#: Inner width of a layer's feed-forward part, in widths of the layer.
EXPANSION = 4
#: Share of the channels, the worst ones, that count once more in the loss.
HARD_SHARE = 0.5


@dataclass(frozen=True)
class HANetConfig(SampledConfig):
    """The Human3.6M configuration.

    Attributes:
        recovered: weight of all frames' loss.
        refined: weight of the sampled frames' loss, and of their agreement with the final ones.
    """

    interval: int = 5
    stride: int = 5
    width: int = 64
    recovered: float = 1.0
    refined: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.recovered <= 0 or self.refined < 0:
            raise ConfigError("hanet: recovered > 0 and refined >= 0")


class Level(nn.Module):
    """One level of the encoder: widen, attend, and report in the width of the first level."""

    position_SE: Tensor

    def __init__(self, config: HANetConfig, narrower: int, width: int) -> None:
        super().__init__()
        self.widen = nn.Linear(narrower, width) if narrower != width else nn.Identity()
        self.attend = SampledEncoderLayer(config, width, EXPANSION * width)
        self.report = nn.Linear(width, config.width)
        position_SE = sine_encoding(config.window, width)[:: config.interval]
        self.register_buffer("position_SE", position_SE, persistent=False)

    def forward(self, x_BSE: Tensor) -> tuple[Tensor, Tensor]:
        """The level's tokens, for the next one, and its report."""
        tokens = self.attend(self.widen(x_BSE), self.position_SE)
        return tokens, self.report(tokens)


class HANet(SampledRefiner):
    """A hierarchical encoder on the sampled frames and a decoder on all of them."""

    name = "hanet"
    title = "HANet"
    published: ClassVar[Budget] = Budget(
        epochs=70,
        batch=512,
        schedule="cosine",
        optimiser="adamw",
        warm_up=5 / 70,
        floor=0.01,
    )
    config: HANetConfig
    here_S: Tensor

    def __init__(self, spec: PoseSpec, config: HANetConfig) -> None:
        super().__init__(spec, config)
        width, channels = config.width, spec.channels
        self.embed = nn.Linear(4 * channels, width)
        widths = [width * 2**level for level in range(config.layers)]
        self.levels = nn.ModuleList(
            Level(config, narrower, own) for narrower, own in pairwise([width, *widths])
        )
        self.head = nn.Linear(width, channels)
        self.gain = nn.Conv1d(3 * channels, 3 * channels, 1, groups=3 * channels)
        self.mix = nn.Linear(width + 3 * channels, width)
        self.recovery = Recovery(spec, config, EXPANSION * width)
        here_S = torch.arange(0, config.window, config.interval)
        self.register_buffer("here_S", here_S, persistent=False)
        for weight in self.parameters():
            if weight.dim() > 1 and weight is not self.gain.weight:
                nn.init.xavier_uniform_(weight)

    def denoise(self, poses_BTC: Tensor) -> tuple[Tensor, Tensor]:
        """Refine the sampled frames by each other and by the frames right beside them."""
        here_BSC = self.sampled(poses_BTC)
        # A window's first frame has nothing before it, its last nothing behind: they stand still.
        before_BSC = poses_BTC[:, (self.here_S - 1).clamp(min=0)]
        after_BSC = poses_BTC[:, (self.here_S + 1).clamp(max=self.window - 1)]
        mean_BSC = (before_BSC + here_BSC + after_BSC) / 3
        tokens = self.embed(torch.cat([mean_BSC, here_BSC, before_BSC, after_BSC], dim=-1))
        reports = []
        for level in self.levels:
            tokens, report = level(tokens)
            reports.append(report)
        memory_BSE = torch.stack(reports).mean(dim=0)
        refined_BSC = here_BSC + self.head(memory_BSE)
        return refined_BSC, self._with_kinematics(memory_BSE, before_BSC, here_BSC, after_BSC)

    def loss(self, batch: Batch) -> Tensor:
        """L1 of all frames, of the refined sampled ones, and between the two where they meet.

        Summed over channels; the mean of the worst half of the channels counts once more.
        """
        recovered_BTC, refined_BSC = self.branches(batch.detected_BTC)
        recovered_C = (recovered_BTC - batch.truth_BTC).abs().mean(dim=(0, 1))
        refined_C = (refined_BSC - self.sampled(batch.truth_BTC)).abs().mean(dim=(0, 1))
        mutual_C = (refined_BSC - self.sampled(recovered_BTC)).abs().mean(dim=(0, 1))
        loss_C = self.config.recovered * recovered_C + self.config.refined * (refined_C + mutual_C)
        hard = loss_C.topk(max(int(HARD_SHARE * len(loss_C)), 1)).values
        return loss_C.sum() + hard.mean()

    def _with_kinematics(
        self, memory_BSE: Tensor, before_BSC: Tensor, here_BSC: Tensor, after_BSC: Tensor
    ) -> Tensor:
        arrived, left = here_BSC - before_BSC, after_BSC - here_BSC
        motion_BSM = torch.cat([arrived, left, (left - arrived).square()], dim=-1)
        motion_BSM = self.gain(motion_BSM.transpose(1, 2)).transpose(1, 2)
        mixed: Tensor = self.mix(torch.cat([memory_BSE, motion_BSM], dim=-1))
        return mixed
