"""A person's constant: what a few clips with truth tell of the error that is in all of theirs.

Part of an estimator's error is the same with everybody, part is a person's own: where the hips are,
say, which nothing in the input tells. That part is the mean error of reference clips. They are few,
and each is wrong in its own way too, so their mean counts for less than it says: its root shift and
what is left of every joint's error, are drawn to the training people's (empirical Bayes), by how
far people lie apart against how far the clips of one do.

Shape letters: K clips, F frames, J joints, D dimensions, C = J x D.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from poise_models.base.pose_spec import PoseSpec


@dataclass(frozen=True)
class Spread:
    """How far constants lie apart.

    Attributes:
        people: variance between people.
        clips: variance between the clips of one person, in the same unit.
    """

    people: float
    clips: float

    def share(self, clips: int) -> float:
        """What the mean of so many clips counts for, in [0, 1]."""
        if clips == 0 or self.people <= 0:
            return 0.0
        return self.people / (self.people + self.clips / clips)


@dataclass(frozen=True)
class Calibration:
    """How to make constants of reference clips.

    Attributes:
        shift: of the root, or where poses are not relative to one, of all joints.
        joints: of what is left of the joints' errors.
        mean_C: the training people's mean error, to which constants are drawn.
    """

    shift: Spread
    joints: Spread
    mean_C: Tensor | None = None

    @classmethod
    def of(cls, people: Mapping[str, Sequence[Tensor]], spec: PoseSpec) -> "Calibration":
        """Learn spreads from the `mean_error` of each clip of each training person.

        Where there are no two people, or nobody has two clips, their spreads are `USUAL`.
        """
        clips = [torch.stack(list(errors)) for errors in people.values()]
        means_PC = torch.stack([errors_KC.nanmean(0) for errors_KC in clips])
        if len(clips) < 2 or max(map(len, clips)) < 2:
            return USUAL
        apart = [_parts(one, spec) for one in clips]
        shift, joints = (
            _spread(people_PX, [parts[which] for parts in apart])
            for which, people_PX in enumerate(_parts(means_PC, spec))
        )
        return Calibration(shift, joints)

    def constant(self, errors_KC: Tensor, spec: PoseSpec) -> Tensor:
        """Return what to take off a person's refined poses, (C,).

        Args:
            errors_KC: `mean_error` of each reference clip, K >= 0; without any it is zero.
            spec: what a frame is.
        """
        count = len(errors_KC)
        if count == 0:
            return errors_KC.new_zeros(spec.channels)
        mean_C = errors_KC.new_zeros(spec.channels) if self.mean_C is None else self.mean_C
        shift_D, own_JD = _parts((errors_KC - mean_C).nanmean(0).nan_to_num(), spec)
        general_D, common_JD = _parts(mean_C, spec)
        shift_D = general_D + self.shift.share(count) * shift_D
        joints_JD = common_JD + self.joints.share(count) * own_JD
        if spec.roots:  # seen from it all others are off alike: it is the root that has to move
            joints_JD[list(spec.roots)] -= shift_D
        else:
            joints_JD += shift_D
        return joints_JD.flatten()


#: As on UI-PRMD, a Kinect beside a Vicon system; for whoever has one person's clips alone.
USUAL = Calibration(Spread(1.0, 0.65), Spread(1.0, 4.2))


def mean_error(refined_FC: Tensor, truth_FC: Tensor, spec: PoseSpec) -> Tensor:
    """Return the mean error of a clip, relative to the root where the poses have one, (C,).

    NaN in the truth marks joints that are not known; a joint that never is has NaN.
    """
    error_FJD = (refined_FC - truth_FC).unflatten(1, (spec.joints, spec.dims))
    if spec.roots:
        error_FJD = error_FJD - error_FJD[:, list(spec.roots)].mean(1, keepdim=True)
    mean_C: Tensor = error_FJD.nanmean(0).flatten()
    return mean_C


def _parts(errors_XC: Tensor, spec: PoseSpec) -> tuple[Tensor, Tensor]:
    """Take errors apart: the mean of all but the roots (..., D), and the rest (..., J, D)."""
    errors_XJD = errors_XC.unflatten(-1, (spec.joints, spec.dims))
    others = [j for j in range(spec.joints) if j not in spec.roots] or list(range(spec.joints))
    shift_XD = errors_XJD[..., others, :].nanmean(-2)
    rest_XJD = errors_XJD.clone()
    rest_XJD[..., others, :] -= shift_XD.unsqueeze(-2)
    return shift_XD, rest_XJD


def _spread(means_PX: Tensor, clips: Sequence[Tensor]) -> Spread:
    """Learn from each person's mean, and from each one's clips (K, ...)."""
    inside = [_variance(clips_KX) for clips_KX in clips if len(clips_KX) > 1]
    within = sum(inside) / len(inside)
    # The means of few clips lie apart by themselves, too.
    chance = within * sum(1 / len(clips_KX) for clips_KX in clips) / len(clips)
    return Spread(max(_variance(means_PX) - chance, 0.0), within)


def _variance(values_PX: Tensor) -> float:
    """The mean variance over the first axis of everything that varies."""
    variance_X = values_PX.double().var(0, correction=1)
    variance_X = variance_X[variance_X > 0]
    return float(variance_X.nanmean()) if len(variance_X) else 0.0
