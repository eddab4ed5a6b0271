"""One network for any skeleton: joints by name, in any unit and place, seen or not.

A window's joints are brought to the order and size of the body that the network knows. What they
are not is refined channel by channel by a companion of the same kind, which knows no bodies. Both
see places relative to the window's mean, so a heading or a place means nothing; training turns
bodies any way and makes them any size (`poise.training_data.varied_motion`).

Shape letters: B windows, T frames, J joints of the skeleton, K joints of the network, X joints of
the skeleton that the network lacks, D dimensions, C = J x D, N bones.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from poise_models.base.batch import Batch, Prediction
from poise_models.base.budget import Budget
from poise_models.base.pose_spec import PoseSpec
from poise_models.base.windows import triangle
from poise_models.fast.window_refiner import FastWindowRefiner
from poise_models.general.joints import BONES, JOINTS, LENGTHS_M, NOWHERE, places
from poise_models.networks.poise import Poise, PoiseConfig

#: Mean distance of a body's joints from their mean, in metres.
_SPREAD = 0.39
#: Below this a skeleton is not taken for a body.
_FEWEST = 6
#: Of a forward pass, however many joints the companion has.
_FEWEST_WINDOWS = 4
#: The companion learns from one joint of every other window: a joint is several windows to it.
_EVERY = 2


@dataclass(frozen=True)
class GeneralConfig:
    """Sizes of the two networks, as in `PoiseConfig`.

    Attributes:
        window: frames both see, T.
        width: of the body's.
        blocks: of the body's.
        apart_width: of the companion's.
        apart_blocks: of the companion's.
    """

    window: int = 32
    width: int = 128
    blocks: int = 4
    apart_width: int = 48
    apart_blocks: int = 3


class General(FastWindowRefiner):
    """The body's network, and its companion for all other joints."""

    name = "general"
    title = "Poise, general"
    published = Budget(
        epochs=30, batch=96, learning_rate=5e-3, schedule="cosine", optimiser="adamw", warm_up=0.05
    )
    takes_missing = True
    config: GeneralConfig

    def __init__(self, spec: PoseSpec, config: GeneralConfig) -> None:
        super().__init__(spec, config, config.window)
        self.weights_T = triangle(config.window)
        size = (config.window, config.width, config.blocks)
        apart = PoiseConfig(config.window, config.apart_width, config.apart_blocks, apart=True)
        self.body = Poise(PoseSpec(len(JOINTS), spec.dims), PoiseConfig(*size))
        self.rest = Poise(PoseSpec(1, spec.dims), apart)
        found = places(spec.names) if spec.has_places else NOWHERE
        if sum(place is not None for place in found) < _FEWEST:
            found = NOWHERE
        known = {place for place in found if place is not None}
        others = [joint for joint in range(spec.joints) if joint not in known]
        self._others = len(others)
        #: Names of the skeleton's joints that are refined as a body's, in its order.
        self.knows = tuple(name for joint, name in enumerate(spec.names) if joint in known)
        # Of the body's joints, then the others, the one that is each of the skeleton's.
        order = {place: joint for joint, place in enumerate(found) if place is not None}
        first = len(JOINTS) if known else 0
        order |= {joint: first + at for at, joint in enumerate(others)}
        beyond = spec.joints
        for name, joints in (
            ("from_K", [beyond if place is None else place for place in found]),
            ("others_X", others),
            ("back_J", [order[joint] for joint in range(spec.joints)]),
            ("ends_2N", [end for ends in zip(*BONES, strict=True) for end in ends]),
        ):
            self.register_buffer(name, torch.tensor(joints, dtype=torch.long), persistent=False)
        self.from_K: Tensor
        self.others_X: Tensor
        self.back_J: Tensor
        self.ends_2N: Tensor

    @property
    def chunk_size(self) -> int:
        """Windows of one forward pass: every channel of the companion is one of its own."""
        apart = self._others * self.spec.dims
        return max(super().chunk_size // max(apart, 1), _FEWEST_WINDOWS)

    def forward(
        self, detected_BTC: Tensor, neighbours_BKTC: Tensor, distances_BK: Tensor
    ) -> Prediction:
        """Refine windows (B, T, C), NaN where unseen; neighbours are not looked at."""
        body_BTKD, others_BTXD, centre, size_B = self._apart(detected_BTC)
        poses, errors = [], []
        if self.knows:
            body = self.body(body_BTKD.flatten(2), neighbours_BKTC, distances_BK)
            poses.append(body.poses_BTC.view_as(body_BTKD))
            errors.append(body.error_BTJ)
        if self._others:
            # Joints are windows of their own here.
            one_NTD = others_BTXD.transpose(1, 2).flatten(0, 1)
            rest = self.rest(one_NTD, neighbours_BKTC, distances_BK)
            shape = (len(detected_BTC), self._others, self.window, -1)
            poses.append(rest.poses_BTC.reshape(shape).transpose(1, 2))
            errors.append(rest.error_BTJ.reshape(shape[:3]).transpose(1, 2))
        poses_BTJD = torch.cat(poses, 2).index_select(2, self.back_J)
        poses_BTJD = poses_BTJD * size_B[:, None, None, None] + centre
        error_BTJ = torch.cat(errors, 2).index_select(2, self.back_J) * size_B[:, None, None]
        return Prediction(poses_BTJD.flatten(2), error_BTJ=error_BTJ)

    def loss(self, batch: Batch) -> Tensor:
        """Both networks' losses, in the unit that a body is brought to."""
        body_BTKD, others_BTXD, centre, size_B = self._apart(batch.detected_BTC)
        truth_BTJD = batch.truth_BTC.unflatten(-1, (self.spec.joints, -1))
        truth_BTJD = (truth_BTJD - centre) / size_B[:, None, None, None]
        beyond_BT1D = torch.zeros_like(truth_BTJD[:, :, :1])
        known_BTKD = torch.cat([truth_BTJD, beyond_BT1D], 2).index_select(2, self.from_K)
        loss = self.body.loss(Batch.without_neighbours(body_BTKD.flatten(2), known_BTKD.flatten(2)))
        every_BTJD = torch.cat([body_BTKD, others_BTXD] if self.knows else [others_BTXD], 2)
        every_BTJD = every_BTJD.index_select(2, self.back_J)
        joint = int(torch.randint(self.spec.joints, ()))
        one = (every_BTJD[::_EVERY, :, joint], truth_BTJD[::_EVERY, :, joint])
        return loss + self.rest.loss(Batch.without_neighbours(*one))

    def _apart(self, detected_BTC: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The body's joints and the others, both at the body's size; their centre, and the size.

        Returns:
            (B, T, K, D), NaN what the skeleton lacks; (B, T, X, D); (B, 1, 1, D); and (B,).
        """
        poses_BTJD = detected_BTC.unflatten(-1, (self.spec.joints, -1))
        centre_B11D = _mean_of_seen(poses_BTJD, (1, 2))
        about_BTJD = poses_BTJD - centre_B11D
        nowhere_BT1D = torch.full_like(about_BTJD[:, :, :1], torch.nan)
        body_BTKD = torch.cat([about_BTJD, nowhere_BT1D], 2).index_select(2, self.from_K)
        size_B = _size(body_BTKD, about_BTJD, self.ends_2N)
        scale = size_B[:, None, None, None]
        others_BTXD = about_BTJD.index_select(2, self.others_X)
        return body_BTKD / scale, others_BTXD / scale, centre_B11D, size_B


def _size(body_BTKD: Tensor, every_BTJD: Tensor, ends_2N: Tensor) -> Tensor:
    """How large the body is, (B,): by its bones, or where none is seen by how far joints spread."""
    from_BTND, to_BTND = body_BTKD.index_select(2, ends_2N).chunk(2, 2)
    length_BTN = (to_BTND - from_BTND).norm(dim=-1)
    bones_BN = _mean_of_seen(length_BTN, (1,)).squeeze(1)
    seen_BN = (~length_BTN.isnan()).any(1).to(bones_BN.dtype)
    by_bones_B = bones_BN.sum(-1) / (seen_BN @ bones_BN.new_tensor(LENGTHS_M)).clamp(min=1e-6)
    spread_B = _mean_of_seen(every_BTJD.norm(dim=-1), (1, 2)).flatten() / _SPREAD
    size_B = torch.where(seen_BN.sum(-1) > 0, by_bones_B, spread_B)
    return torch.where(size_B > 0, size_B, torch.ones_like(size_B))


def _mean_of_seen(values: Tensor, over: tuple[int, ...]) -> Tensor:
    """Mean of what is no NaN, dimensions kept; 0 where there is nothing."""
    seen = ~values.isnan()
    total = torch.where(seen, values, torch.zeros_like(values)).sum(over, keepdim=True)
    return total / seen.sum(over, keepdim=True).clamp(min=1)
