"""SmoothNet: one small network for every coordinate, along time only."""

from dataclasses import dataclass

from torch import Tensor, nn

from poise_models.base.batch import Batch, Prediction
from poise_models.base.budget import Budget
from poise_models.base.losses import refinement_loss
from poise_models.base.pose_spec import PoseSpec
from poise_models.errors import ConfigError
from poise_models.fast.dropout import Dropout
from poise_models.fast.window_refiner import FastWindowRefiner

SMOOTHNESS = 0.1


@dataclass(frozen=True)
class SmoothNetConfig:
    """The Human3.6M and AIST++ configuration; the window is 32 frames in the paper's tables."""

    window: int = 32
    hidden: int = 512
    residual: int = 128
    blocks: int = 5
    dropout: float = 0.25

    def __post_init__(self) -> None:
        if self.window < 3 or min(self.hidden, self.residual) < 1 or self.blocks < 0:
            raise ConfigError("smoothnet: window >= 3, hidden and residual >= 1, blocks >= 0")


class ResidualBlock(nn.Module):
    """Two linear layers around a bottleneck; dropout comes before each activation."""

    def __init__(self, config: SmoothNetConfig) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(config.hidden, config.residual),
            Dropout(config.dropout),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Linear(config.residual, config.hidden),
            Dropout(config.dropout),
            nn.LeakyReLU(0.2, inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., hidden) to the same."""
        out: Tensor = self.body(x)
        return out + x


class SmoothNet(FastWindowRefiner):
    """SmoothNet's published basic version; it sees every coordinate's T values by themselves."""

    name = "smoothnet"
    title = "SmoothNet"
    published = Budget(epochs=70, batch=1024, decay=0.95, optimiser="amsgrad")
    config: SmoothNetConfig

    def __init__(self, spec: PoseSpec, config: SmoothNetConfig) -> None:
        super().__init__(spec, config, config.window)
        self.body = nn.Sequential(
            nn.Linear(config.window, config.hidden),
            nn.LeakyReLU(0.1, inplace=True),
            *[ResidualBlock(config) for _ in range(config.blocks)],
            nn.Linear(config.hidden, config.window),
        )

    def forward(
        self, detected_BTC: Tensor, neighbours_BKTC: Tensor, distances_BK: Tensor
    ) -> Prediction:
        """Smooth windows (B, T, C); neighbours are not looked at."""
        centre = self.centre_of(detected_BTC)
        poses_BCT = self.body((detected_BTC - centre).transpose(1, 2))
        return Prediction(poses_BCT.transpose(1, 2) + centre)

    def loss(self, batch: Batch) -> Tensor:
        """L1 position + 0.1 x L1 acceleration."""
        poses = self(batch.detected_BTC, batch.neighbours_BKTC, batch.distances_BK).poses_BTC
        return refinement_loss(poses, batch.truth_BTC, SMOOTHNESS)
