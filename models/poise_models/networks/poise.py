"""Poise's own network: a mixer of frames and channels, over the cosine transform of a window.

One block mixes the frequencies of every channel, then the channels of every frequency. The low
quarter of the input's spectrum goes round the blocks, so an untrained network is a smoother, and
training learns what smoothing gets wrong. A joint that was not seen (NaN) takes no part.

With ``apart`` every channel goes through by itself, as a window of one joint in one dimension: the
same weights serve any joints in any number of dimensions, and know nothing of bodies.

Shape letters: B batch, T frames of a window, J joints, D dimensions, C = J x D, E width.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from poise_models.base.batch import Batch, Prediction
from poise_models.base.budget import Budget
from poise_models.base.losses import refinement_loss
from poise_models.base.pose_spec import PoseSpec
from poise_models.base.windows import triangle
from poise_models.errors import ConfigError
from poise_models.fast.linear import added, fuses, linear, usual_rows
from poise_models.fast.window_refiner import FastWindowRefiner
from poise_models.networks.dct import dct_matrix

#: Poses are seen, and corrected, in tenths of their unit: what errors in metres amount to.
_UNIT = 0.1
#: Reach of what fills gaps at first, in frames; the network corrects it.
_FILL_REACH = 1.5
#: What the spread of errors counts for beside the errors themselves.
_SPREAD_SHARE = 0.1


@dataclass(frozen=True)
class PoiseConfig:
    """Size, and what its training weighs.

    Attributes:
        window: frames it sees, T.
        width: of the channels' mixture, E.
        blocks: of frames and channels mixed.
        smoothness: what acceleration errors count for in the loss, beside position errors.
        apart: refine every channel by itself, for joints whose names nobody knows.
    """

    window: int = 32
    width: int = 128
    blocks: int = 4
    smoothness: float = 1.0
    apart: bool = False

    def __post_init__(self) -> None:
        if self.window < 4 or self.width < 1 or self.blocks < 1:
            raise ConfigError("poise: window >= 4, width and blocks >= 1")
        if self.smoothness < 0:
            raise ConfigError("poise: smoothness must not be negative")


class Block(nn.Module):
    """Frames mixed T-2T-T for every channel, then channels mixed E-2E-E for every frame."""

    def __init__(self, config: PoiseConfig) -> None:
        super().__init__()
        length, width = config.window, config.width
        self.before_frames = nn.LayerNorm(width)
        self.before_channels = nn.LayerNorm(width)
        self.frames_in = nn.Linear(length, 2 * length)
        self.frames_out = nn.Linear(2 * length, length)
        self.channels_in = nn.Linear(width, 2 * width)
        self.channels_out = nn.Linear(2 * width, width)

    def forward(self, x_BTE: Tensor) -> Tensor:
        """Map (B, T, E) to the same."""
        x_BTE = x_BTE + self._over_frames(self.before_frames(x_BTE))
        mixed = linear(self.channels_in, self.before_channels(x_BTE), gelu=True)
        return added(self.channels_out, mixed, x_BTE)

    def _over_frames(self, x_BTE: Tensor) -> Tensor:
        if fuses(x_BTE):
            mixed_BES = linear(self.frames_in, x_BTE.transpose(1, 2), gelu=True)
            return linear(self.frames_out, mixed_BES).transpose(1, 2)
        mixed = functional.gelu(_over_frames(self.frames_in, x_BTE))
        return _over_frames(self.frames_out, mixed)


def _over_frames(layer: nn.Linear, x_BTE: Tensor) -> Tensor:
    """Mix frames by a matrix from the left, which needs no transpose."""
    if torch.is_inference_mode_enabled() and not torch.compiler.is_compiling():
        # The same numbers window by window, which copies nothing; gradients would take a matrix
        # for each window.
        weight_BST = layer.weight.expand(len(x_BTE), -1, -1)
        return torch.baddbmm(layer.bias[:, None], weight_BST, x_BTE)
    mixed: Tensor = layer.weight @ x_BTE + layer.bias[:, None]
    return mixed


class Poise(FastWindowRefiner):
    """Our own network: it refines windows, and says how far off each joint may still be."""

    name = "poise"
    title = "Poise"
    published = Budget(
        epochs=30, batch=512, learning_rate=5e-3, schedule="cosine", optimiser="adamw", warm_up=0.1
    )
    takes_missing = True
    config: PoiseConfig

    def __init__(self, spec: PoseSpec, config: PoiseConfig) -> None:
        super().__init__(spec, config, config.window)
        length, width = config.window, config.width
        # What goes through the blocks together.
        joints, channels = (1, 1) if config.apart else (spec.joints, spec.channels)
        self.weights_T = triangle(length)
        basis_TT = dct_matrix(length)
        self.register_buffer("basis_TT", functional.normalize(basis_TT), persistent=False)
        apart_TT = torch.arange(length).sub(torch.arange(length)[:, None]).abs()
        self.register_buffer("near_TT", torch.exp(-apart_TT / _FILL_REACH), persistent=False)
        self.basis_TT: Tensor
        self.near_TT: Tensor
        self.embed = nn.Linear(channels + joints, width)
        self.place_TE = nn.Parameter(torch.zeros(length, width))
        self.blocks = nn.ModuleList([Block(config) for _ in range(config.blocks)])
        self.correct = nn.Linear(width, channels)
        nn.init.zeros_(self.correct.weight)
        nn.init.zeros_(self.correct.bias)
        self.gain = nn.Parameter(torch.ones(length // 4, 1))
        self.offset_C = nn.Parameter(torch.zeros(channels))
        self.spread = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, width // 2),
            nn.GELU(),
            nn.Linear(width // 2, joints),
        )

    def start_from(self, offset_C: Tensor) -> None:
        """Begin with the constant joint offset taken off, where joints are told apart."""
        if self.config.apart:
            return
        with torch.no_grad():
            self.offset_C.copy_(offset_C)

    def forward(
        self, detected_BTC: Tensor, neighbours_BKTC: Tensor, distances_BK: Tensor
    ) -> Prediction:
        """Refine windows (B, T, C), NaN where unseen; neighbours are not looked at."""
        if not fuses(detected_BTC):  # an exported graph takes any number of rows
            poses_BTC, hidden_BTE = self._refined(detected_BTC)
            return Prediction(poses_BTC, error_BTJ=self._error(hidden_BTE))
        rows = len(detected_BTC)
        more = usual_rows(rows) - rows
        filled_BTC = torch.cat([detected_BTC, detected_BTC[:1].expand(more, -1, -1)])
        poses_BTC, hidden_BTE = self._refined(filled_BTC)
        return Prediction(poses_BTC[:rows], error_BTJ=self._error(hidden_BTE)[:rows])

    def loss(self, batch: Batch) -> Tensor:
        """L1 position + acceleration, and the likelihood of the error it says it makes."""
        poses_BTC, hidden_BTE = self._refined(batch.detected_BTC)
        loss = refinement_loss(poses_BTC, batch.truth_BTC, self.config.smoothness)
        off_BTC = (poses_BTC - batch.truth_BTC).detach()
        off_BTJ = off_BTC.unflatten(-1, (self.spec.joints, -1)).norm(dim=-1)
        # The spread is read off, and does not shape what it is read from.
        error_BTJ = self._error(hidden_BTE.detach())
        surprise: Tensor = (error_BTJ.log() + off_BTJ / error_BTJ).mean()
        return loss + _SPREAD_SHARE * surprise

    def _refined(self, detected_BTC: Tensor) -> tuple[Tensor, Tensor]:
        """Refined windows, and what the last block has of them; both channel by channel if apart.

        The latter is (B, T, E), or of all channels one after another (B x C, T, E).
        """
        if not self.config.apart:
            return self._mixed(detected_BTC.unflatten(-1, (self.spec.joints, -1)))
        channels_NT11 = detected_BTC.transpose(1, 2).reshape(-1, detected_BTC.shape[1], 1, 1)
        poses_NT1, hidden_NTE = self._mixed(channels_NT11)
        poses_BCT = poses_NT1.view(len(detected_BTC), self.spec.channels, -1)
        return poses_BCT.transpose(1, 2), hidden_NTE

    def _mixed(self, poses_BTJD: Tensor) -> tuple[Tensor, Tensor]:
        seen_BTJ, centred_BTC, centre_B1C = self._centred(poses_BTJD)
        spectrum_BTC = self.basis_TT @ centred_BTC
        marks_BTJ = self.basis_TT @ (1 - seen_BTJ)
        x_BTE = linear(self.embed, torch.cat([spectrum_BTC / _UNIT, marks_BTJ], -1)) + self.place_TE
        for block in self.blocks:
            x_BTE = block(x_BTE)
        kept = len(self.gain)
        low_BTC = self.basis_TT[:kept].T @ (self.gain * spectrum_BTC[:, :kept])
        poses_BTC = low_BTC + self.basis_TT.T @ (_UNIT * linear(self.correct, x_BTE))
        return poses_BTC + centre_B1C - self.offset_C, x_BTE

    def _error(self, hidden_BTE: Tensor) -> Tensor:
        # Softplus: positive, and about linear where errors are large. In hundredths of a unit.
        norm, inner, _, outer = self.spread
        assert isinstance(inner, nn.Linear)  # noqa: S101  (as it was made)
        assert isinstance(outer, nn.Linear)  # noqa: S101
        spread_BTE = norm(self.basis_TT.T @ hidden_BTE)
        raw_BTJ = linear(outer, linear(inner, spread_BTE, gelu=True))
        error_BTJ = 0.01 * functional.softplus(raw_BTJ) + 1e-5
        if not self.config.apart:
            return error_BTJ
        error_BJDT = error_BTJ.view(-1, self.spec.joints, self.spec.dims, error_BTJ.shape[1])
        joined_BTJ: Tensor = error_BJDT.norm(dim=2).transpose(1, 2)
        return joined_BTJ

    def _centred(self, poses_BTJD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Which joints were seen, poses about their mean place with gaps filled, and that place."""
        joints = poses_BTJD.shape[2]
        seen_BTJ1 = (~poses_BTJD.isnan().any(-1, keepdim=True)).to(poses_BTJD.dtype)
        known_BTJD = torch.where(seen_BTJ1 > 0, poses_BTJD, poses_BTJD.new_zeros(()))
        if self.spec.has_places:  # which have a mean to be seen relative to
            count_B = seen_BTJ1.sum((1, 2), keepdim=True).clamp(min=1)
            centre_BD = known_BTJD.sum((1, 2), keepdim=True) / count_B
        else:
            centre_BD = known_BTJD.new_zeros(1, 1, 1, known_BTJD.shape[-1])
        about_BTC = ((known_BTJD - centre_BD) * seen_BTJ1).flatten(2)
        seen_BTC = seen_BTJ1.expand_as(known_BTJD).flatten(2)
        near_BTC = self.near_TT @ about_BTC / (self.near_TT @ seen_BTC).clamp(min=1e-6)
        filled_BTC = torch.where(seen_BTC > 0, about_BTC, near_BTC)
        return seen_BTJ1.squeeze(-1), filled_BTC, centre_BD.expand(-1, -1, joints, -1).flatten(2)
