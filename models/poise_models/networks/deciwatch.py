"""DeciWatch: looks at every tenth frame only, refines it, and recovers the nine between."""

from dataclasses import dataclass
from typing import ClassVar

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


@dataclass(frozen=True)
class DeciWatchConfig(SampledConfig):
    """The Human3.6M configuration.

    Attributes:
        feed_forward: inner width of every layer.
        recovered: weight of all frames' loss beside the sampled frames'.
    """

    feed_forward: int = 256
    recovered: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.feed_forward < 1 or self.recovered <= 0:
            raise ConfigError("deciwatch: feed_forward >= 1 and recovered > 0")


class DeciWatch(SampledRefiner):
    """A transformer encoder on the sampled frames and a decoder on all of them."""

    name = "deciwatch"
    title = "DeciWatch"
    published: ClassVar[Budget] = Budget(epochs=70, batch=512, decay=0.95, optimiser="amsgrad")
    config: DeciWatchConfig
    position_SE: Tensor

    def __init__(self, spec: PoseSpec, config: DeciWatchConfig) -> None:
        super().__init__(spec, config)
        width, inner = config.width, config.feed_forward
        self.embed = nn.Linear(spec.channels, width)
        self.encoder = nn.ModuleList(
            [SampledEncoderLayer(config, width, inner) for _ in range(config.layers)]
        )
        self.norm = nn.LayerNorm(width) if config.pre_norm else nn.Identity()
        self.head = nn.Linear(width, spec.channels)
        self.recovery = Recovery(spec, config, inner)
        position_SE = sine_encoding(config.window, width)[:: config.interval]
        self.register_buffer("position_SE", position_SE, persistent=False)
        for weight in self.parameters():
            if weight.dim() > 1:
                nn.init.xavier_uniform_(weight)

    def denoise(self, poses_BTC: Tensor) -> tuple[Tensor, Tensor]:
        """Refine each sampled frame by the others."""
        sampled_BSC = self.sampled(poses_BTC)
        x_BSE = self.embed(sampled_BSC)
        for layer in self.encoder:
            x_BSE = layer(x_BSE, self.position_SE)
        memory_BSE = self.norm(x_BSE)
        return sampled_BSC + self.head(memory_BSE), memory_BSE

    def loss(self, batch: Batch) -> Tensor:
        """Weighted L1 of all frames + L1 of the sampled frames the encoder refined."""
        recovered_BTC, refined_BSC = self.branches(batch.detected_BTC)
        recovered = (recovered_BTC - batch.truth_BTC).abs().mean()
        refined = (refined_BSC - self.sampled(batch.truth_BTC)).abs().mean()
        return self.config.recovered * recovered + refined
