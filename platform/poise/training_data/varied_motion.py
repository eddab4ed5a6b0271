"""True motion for training, as varied as people are: pace, proportions, heading, side.

Shape letters: F frames of all sequences, B windows of a batch, T frames of a window, J joints,
D = 3 dimensions.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from poise.catalog.tracks import Track
from poise.readers.simulated.body import Body
from poise.readers.simulated.camera import rotations, upright
from poise.readers.simulated.draws import Draws
from poise.readers.simulated.strengths import Between
from poise.runtime.errors import TrackError

#: Frames a second that windows are seen at, and those of a track whose rate nobody knows.
_RATES = Between(12.0, 120.0)
_USUAL_RATE = 60.0
#: Share of windows whose camera drops frames that nobody misses, and which share of them.
_DROPPED = (0.1, 0.1)
#: Standard deviations of the logarithm of a body's size, and of each of its bones beside that.
_SIZE, _BONE = 0.12, 0.08
#: Where joints are said to be differs from body to body by so much, in metres.
_DEFINITION_M = 0.01
#: Of the floor, in radians.
_TILT = 0.17


class VariedMotion:
    """Windows of true motion, drawn anew every time, on the device of the truth."""

    def __init__(self, truth_FC: Tensor, track: Track, length: int, stands: bool = False) -> None:
        """Hold truth in metres; windows will have ``length`` frames.

        Where it ``stands``, the floor is level and y up; else windows are as estimators have them,
        with any axis up and a floor that may be tilted.

        Raises:
            TrackError: the catalogue does not say which axes are lateral and vertical.
        """
        info = track.info
        if info.skeleton is None or info.flip is None or info.up is None:
            raise TrackError(
                f"{track}: motion is turned and mirrored for training on simulated estimators; say "
                "`lateral` and `up` in the data set's file"
            )
        self._body = Body(info.skeleton, truth_FC.device)
        self._poses_FJD: Tensor = truth_FC.unflatten(-1, (info.joints, -1))
        rate = info.fps or _USUAL_RATE
        self._paces = Between(rate / _RATES.most, rate / _RATES.least)
        self._step_T = torch.arange(length, device=truth_FC.device)
        self._mirror_D = (1 - 2 * torch.eye(3)[info.flip.axis]).to(truth_FC.device)
        turned = [upright(info.up) @ _turned(kind) for kind in range(1 if stands else 3)]
        self._heading_D = torch.eye(3)[info.up].to(truth_FC.device)
        self._tilt = 0.0 if stands else _TILT
        self._turned = torch.stack(turned).to(truth_FC.device)

    def windows(
        self, frame_B: Tensor, first_B: Tensor, last_B: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Return windows (B, T, J, 3) of any pace, body and heading.

        Args:
            frame_B: a frame that each window holds.
            first_B: the first frame of its sequence.
            last_B: the last one.
            generator: on the device of the truth.
        """
        draws = Draws(generator)
        poses_BTJD = self._paced(frame_B, first_B, last_B, draws)
        poses_BTJD = self._reshaped(poses_BTJD, draws)
        other_BTJD = poses_BTJD[:, :, self._body.other_J] * self._mirror_D
        mirrored_B111 = draws.chance(0.5, len(frame_B), 1, 1, 1)
        poses_BTJD = torch.where(mirrored_B111, other_BTJD, poses_BTJD)
        return poses_BTJD @ self._turns(len(frame_B), draws)[:, None]

    def _paced(self, frame_B: Tensor, first_B: Tensor, last_B: Tensor, draws: Draws) -> Tensor:
        batch, steps = len(frame_B), len(self._step_T) - 1
        # A short sequence is not gone through faster than it lasts.
        room_B = last_B - first_B
        pace_B = torch.minimum(draws.between(self._paces, batch), room_B / steps)
        # From its sequence's first frame on: float32 has no fractions of frames in the millions.
        start_B = frame_B - first_B - draws.uniform(batch) * pace_B * steps
        start_B = torch.minimum(start_B.clamp(min=0), room_B - pace_B * steps)
        place_BT = start_B[:, None] + pace_B[:, None] * self._moments(batch, draws)
        return self._between(place_BT, first_B[:, None], last_B[:, None])

    def _moments(self, batch: int, draws: Draws) -> Tensor:
        """When frames are taken, (B, T), in frames: evenly, or with dropped ones between them."""
        steps = len(self._step_T) - 1
        dropped_BT = draws.chance(_DROPPED[1], batch, steps) * (1 + 2 * draws.uniform(batch, steps))
        passed_BT = functional.pad((1 + dropped_BT.ceil()).cumsum(1), (1, 0))
        uneven_BT = passed_BT * (steps / passed_BT[:, -1:])
        return uneven_BT.where(draws.chance(_DROPPED[0], batch, 1), self._step_T)

    def _between(self, place_BT: Tensor, first_B1: Tensor, last_B1: Tensor) -> Tensor:
        """Poses at fractions of frames, on cubic curves through four frames (Catmull-Rom)."""
        whole_BT = place_BT.floor()
        part_BT11 = (place_BT - whole_BT)[:, :, None, None]
        near_BT = whole_BT.long() + first_B1

        def pose(offset: int) -> Tensor:
            at_BT = torch.minimum(torch.maximum(near_BT + offset, first_B1), last_B1)
            pose_BTJD: Tensor = self._poses_FJD[at_BT]
            return pose_BTJD

        before, here, there, after = (pose(offset) for offset in (-1, 0, 1, 2))
        bend = 2 * before - 5 * here + 4 * there - after
        twist = 3 * (here - there) + after - before
        curve = there - before + part_BT11 * (bend + part_BT11 * twist)
        found_BTJD: Tensor = here + 0.5 * part_BT11 * curve
        return found_BTJD

    def _reshaped(self, poses_BTJD: Tensor, draws: Draws) -> Tensor:
        """Give each window a body: of another size, each bone of it longer or shorter."""
        batch, _, joints, _ = poses_BTJD.shape
        bones_BTJD = poses_BTJD - poses_BTJD[:, :, self._body.parents_J]
        factor_BJ = _BONE * draws.normal(batch, joints)
        factor_BJ = (factor_BJ + factor_BJ[:, self._body.other_J]) / 2
        size_B1 = _SIZE * draws.normal(batch, 1)
        bones_BTJD = bones_BTJD * (factor_BJ + size_B1).exp()[:, None, :, None]
        root_BT1D = poses_BTJD[:, :, :1] * size_B1.exp()[:, None, None]
        away_BJD = _DEFINITION_M * draws.normal(batch, joints, 3)
        return self._body.chain_JJ @ bones_BTJD + root_BT1D + away_BJD[:, None]

    def _turns(self, batch: int, draws: Draws) -> Tensor:
        """Rotations (B, 3, 3): any heading, a small tilt, and any axis up."""
        heading_B3 = 2 * math.pi * draws.uniform(batch, 1) * self._heading_D
        tilt_B3 = self._tilt * draws.normal(batch, 3)
        kinds = len(self._turned)
        kind_B = (kinds * draws.uniform(batch)).long().clamp(max=kinds - 1)
        turns_B33: Tensor = rotations(heading_B3) @ rotations(tilt_B3) @ self._turned[kind_B]
        return turns_B33


def _turned(kind: int) -> Tensor:
    """Turn y up into y up, z up, or y down as cameras have it, all without a mirror."""
    if kind == 0:
        return torch.eye(3)
    if kind == 1:
        return torch.tensor([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
    return torch.diag(torch.tensor([1.0, -1, -1]))
