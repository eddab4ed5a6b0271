"""GFPose for the denoise task: a score-based prior of single poses.

A network learns what noise there is in a noised true pose. A detected pose is then taken for a
noised one and led back along the probability flow, one frame by itself, with no sense of motion.

Shape letters: B batch, T = 1 frame of a window, C = joints x dims, S steps of the sampler.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from poise_models.base.batch import Batch, Prediction
from poise_models.base.budget import Budget
from poise_models.base.pose_spec import PoseSpec
from poise_models.errors import ConfigError
from poise_models.fast.shared_time import noise_with_shared_time
from poise_models.fast.window_refiner import FastWindowRefiner
from poise_models.networks.diffusion import SubVP
from poise_models.networks.score_network import ScoreNetwork

#: Training draws times from here to 1, and the sampler never ends below its own limit.
FIRST_TIME, LAST_STEP_TIME = 1e-5, 1e-3

Pace = Literal["official", "flow"]


@dataclass(frozen=True)
class GFPoseConfig:
    """The published denoiser.

    Attributes:
        hidden: width of the score network, a multiple of 32, above it: a group of one norms to 0.
        embedding: numbers that time is embedded in.
        blocks: residual blocks.
        dropout: in training.
        scale: the track's units to the diffusion's. Published is 30 for coordinates over 500 px,
            people standing about 219 px to the metre: 13 for metres. Such joints spread by 4.
        start: the time that detections are taken to be at: with ``flow`` where
            ``deviation / mean = scale x noise``, 0.3 for 8 cm a coordinate in metres.
        steps: network calls of the sampler.
        pace: ``flow`` integrates the probability flow as it is. ``official`` walks from ``start``
            (published: 0.05) in steps of 1 / steps, 20 times longer than the way is: noise far
            above the diffusion's at that time is removed, but poses grow by up to a third, which
            the published error, aligned in scale, does not see.
        conditional: the network sees the detection as well, which the published denoiser
            does not; its condition is zero then.
    """

    hidden: int = 1024
    embedding: int = 512
    blocks: int = 2
    dropout: float = 0.25
    scale: float = 13.0
    start: float = 0.3
    steps: int = 1000
    pace: Pace = "flow"
    conditional: bool = False

    def __post_init__(self) -> None:
        if self.hidden < 64 or self.hidden % 32 or self.embedding < 4 or self.embedding % 2:
            raise ConfigError(
                "gfpose: hidden a multiple of 32 above 32, embedding even and at least 4"
            )
        if self.blocks < 0 or not 0 <= self.dropout < 1 or self.scale <= 0 or self.steps < 1:
            raise ConfigError("gfpose: blocks >= 0, dropout in [0, 1), scale > 0, steps >= 1")
        if self.pace not in get_args(Pace):
            raise ConfigError(f"gfpose: pace must be official or flow, not {self.pace!r}")
        if not LAST_STEP_TIME < self.start <= 1:
            raise ConfigError(f"gfpose: start must lie in ({LAST_STEP_TIME:g}, 1]")
        if self.pace == "official" and self.steps * self.start <= 1:
            raise ConfigError(
                f"gfpose: {self.steps} steps of 1/{self.steps} are unstable from start "
                f"{self.start:g}: take more than {1 / self.start:g} steps, or pace: flow"
            )


def noise_at_times(
    network: ScoreNetwork, times_S: Tensor, condition_BC: Tensor
) -> Callable[[Tensor, int], Tensor]:
    """The noise in poses (B, C) at a step, by one call of the network for each."""

    def noise(x_BC: Tensor, step: int) -> Tensor:
        found_BC: Tensor = network(x_BC, times_S[step : step + 1], condition_BC)
        return found_BC

    return noise


class GFPose(FastWindowRefiner):
    """The pose prior as a refiner of single frames.

    Poses are centred on the mean of their joints: the published task adds noise to poses whose
    true root is known, and one noisy root joint would be a poor guess of it.

    `forward` unrolls ``steps`` calls of the network, more than an ONNX file should hold. Export
    `score`, which is one call, and walk outside of it.
    """

    name = "gfpose"
    title = "GFPose"
    # Published: warm-up over 5000 steps, and 20,000 epochs of Human3.6M's 1560 batches.
    published = Budget(
        epochs=20_000,
        batch=1000,
        learning_rate=2e-4,
        decay=1.0,
        warm_up=5000 / (20_000 * 1560),
        clip=1.0,
        ema=0.9999,
    )
    chunk = 2048
    config: GFPoseConfig

    times_S: Tensor

    def __init__(
        self,
        spec: PoseSpec,
        config: GFPoseConfig,
        noise_of: Callable[..., Callable[[Tensor, int], Tensor]] = noise_with_shared_time,
    ) -> None:
        """Build the network.

        Args:
            spec: what a frame is.
            config: sizes and sampler.
            noise_of: how a walk without condition asks for noise: `noise_at_times`, or
                `noise_with_shared_time`, which is the same and faster.
        """
        super().__init__(spec, config, 1)
        self.sde = SubVP()
        self.score = ScoreNetwork(
            spec.channels, config.hidden, config.embedding, config.blocks, config.dropout
        )
        self.calls = config.steps
        self._noise_of = noise_at_times if config.conditional else noise_of
        with torch.device("cpu"):  # whatever is the default, they become numbers
            times_S, keep_S, take_S = _walk(self.sde, config)
        self.keep: tuple[float, ...] = tuple(keep_S.tolist())
        self.take: tuple[float, ...] = tuple(take_S.tolist())
        self.register_buffer("times_S", times_S.float(), persistent=False)

    def forward(
        self, detected_BTC: Tensor, neighbours_BKTC: Tensor, distances_BK: Tensor
    ) -> Prediction:
        """Lead poses (B, 1, C) back along the flow; neighbours are not looked at."""
        centre_BTC = self._centre(detected_BTC)
        scaled_BC = (detected_BTC - centre_BTC).flatten(0, 1) * self.config.scale
        refined_BC = self._sample(scaled_BC) / self.config.scale
        return Prediction(refined_BC.unflatten(0, detected_BTC.shape[:2]) + centre_BTC)

    def loss(self, batch: Batch) -> Tensor:
        """Denoising score matching on the truth: squared error of the estimated noise."""
        centre_BTC = self._centre(batch.truth_BTC)
        truth_BC = (batch.truth_BTC - centre_BTC).flatten(0, 1) * self.config.scale
        condition_BC = torch.zeros_like(truth_BC[:1])
        if self.config.conditional:
            detected_BTC = batch.detected_BTC - self._centre(batch.detected_BTC)
            condition_BC = detected_BTC.flatten(0, 1) * self.config.scale
        time_B = FIRST_TIME + (1 - FIRST_TIME) * torch.rand_like(truth_BC[:, 0])
        noise_BC = torch.randn_like(truth_BC)
        mean_B, deviation_B = self.sde.mean(time_B), self.sde.deviation(time_B)
        noised_BC = mean_B[:, None] * truth_BC + deviation_B[:, None] * noise_BC
        return functional.mse_loss(self.score(noised_BC, time_B, condition_BC), noise_BC)

    def _centre(self, poses_BTC: Tensor) -> Tensor:
        if not self.spec.centre:
            return torch.zeros_like(poses_BTC)
        mean_BTD = poses_BTC.unflatten(-1, (self.spec.joints, self.spec.dims)).mean(-2)
        centre_BTC: Tensor = mean_BTD.repeat(1, 1, self.spec.joints)
        return centre_BTC

    def _sample(self, detected_BC: Tensor) -> Tensor:
        x_BC, condition_BC = detected_BC, torch.zeros_like(detected_BC[:1])
        if self.config.pace == "flow":
            x_BC = self.sde.mean(self.times_S[:1]) * detected_BC
        if self.config.conditional:
            condition_BC = detected_BC
        noise = self._noise_of(self.score, self.times_S, condition_BC)
        for step, (keep, take) in enumerate(zip(self.keep, self.take, strict=True)):
            x_BC = keep * x_BC - take * noise(x_BC, step)
        return x_BC


def _walk(sde: SubVP, config: GFPoseConfig) -> tuple[Tensor, Tensor, Tensor]:
    """Times of the Euler steps, and per step what is kept of the pose and taken of the noise."""
    # An Euler step longer than the time it is at would overshoot the noise it takes off.
    if config.pace == "official":
        length = 1 / config.steps
        end = max(LAST_STEP_TIME, length)
    else:
        end = max(LAST_STEP_TIME, config.start / (config.steps + 1))
        length = (config.start - end) / config.steps
    last = end if config.pace == "official" else end + length
    times_S = torch.linspace(config.start, last, config.steps, dtype=torch.float64)
    pose_S, noise_S = sde.flow(times_S)
    return times_S, 1 - pose_S * length, noise_S * length
