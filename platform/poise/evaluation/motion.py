"""What became of a motion: what MPJPE, PA-MPJPE and Accel do not tell.

All is measured against a reference, mostly the truth, relative to roots as MPJPE is; feet slide
where they are in space. Shape letters: F frames, J joints, D dimensions, E bones, L feet.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from poise.catalog.tracks import TrackInfo
from poise.evaluation.metrics import Compared, compared
from poise.evaluation.smpl import BodyModel

#: Shares of a person's size within which a joint is found, in images (PCK).
PCK_SHARES = (0.05, 0.1, 0.2)
#: The same in space, in mm (MPI-INF-3DHP), and the thresholds under whose curve the area is.
PCK_MM = 150.0
AUC_MM = tuple(5.0 * step for step in range(31))
#: A foot stands where the reference has it so near its lowest place, and so slow.
_STANDS_MM, _STANDS_MM_PER_S = 50.0, 200.0
_FEET = ("left_ankle", "right_ankle")
#: A root that keeps so still has no place in space: poses are relative to it.
_PINNED_MM = 1.0
#: What moves less does not move: what is left of a root that is taken off.
_STILL = 1e-6
_NAN = math.nan


@dataclass(frozen=True)
class MotionErrors:
    """What became of a motion, over one or many sequences, in the reported unit.

    NaN where it is not defined: lengths and feet in images, PCK by size in space.

    Attributes:
        precision: MPJPE after each joint's mean error of the sequence is taken off.
        velocity: of the change from frame to frame, the mean error (MPJVE), per frame.
        bone_spread: standard deviation of a bone's length over a sequence, the mean of all bones.
        foot_slide: horizontal way a frame of feet that stand in the reference.
        pck: joints within `PCK_SHARES` of the larger side of the person's box, in %.
        pck_150: joints within `PCK_MM`, in %.
        auc: the mean of that over `AUC_MM`.
        ranges_2J: how far each joint gets in the direction in which its reference moves most, and
            how far the reference does; of many sequences, the sum.
        peaks_2J: the highest speeds, per frame, in the same form.
        frames: that were compared.
        stood: feet and frames behind ``foot_slide``.
    """

    precision: float
    velocity: float
    bone_spread: float
    foot_slide: float
    pck: tuple[float, ...]
    pck_150: float
    auc: float
    ranges_2J: Tensor
    peaks_2J: Tensor
    frames: int
    stood: int

    @property
    def range_kept(self) -> float:
        """Range of motion of all joints together, in % of the reference's."""
        return _share(self.ranges_2J.sum(1))

    @property
    def peak_kept(self) -> float:
        """Peak speed of all joints together, in % of the reference's."""
        return _share(self.peaks_2J.sum(1))

    def to_json(self, joint_names: Sequence[str]) -> dict[str, Any]:
        """Return plain values; None where a measure is not defined. Joints by name, in %."""
        values = {
            "precision": self.precision,
            "velocity": self.velocity,
            "bone_spread": self.bone_spread,
            "foot_slide": self.foot_slide,
            **{f"pck_{share:g}": x for share, x in zip(PCK_SHARES, self.pck, strict=True)},
            "pck_150": self.pck_150,
            "auc": self.auc,
            "range_kept": self.range_kept,
            "peak_kept": self.peak_kept,
        }
        plain: dict[str, Any] = {name: _plain(value) for name, value in values.items()}
        for name, pair_2J in (("range_kept", self.ranges_2J), ("peak_kept", self.peaks_2J)):
            kept = map(_share, pair_2J.T)
            by_joint = dict(zip(joint_names, map(_plain, kept), strict=False))
            plain[f"{name}_by_joint"] = {joint: x for joint, x in by_joint.items() if x is not None}
        return plain


def motion_errors(
    refined_FC: Tensor,
    truth_FC: Tensor,
    info: TrackInfo,
    body: BodyModel | None = None,
    untrue_FJ: Tensor | None = None,
) -> MotionErrors | None:
    """Compare a motion with its reference, which need not be the truth.

    The arguments are those of `poise.evaluation.metrics.pose_errors`. None of mere rotations, and
    where no joint's truth is known.
    """
    places = compared(refined_FC, truth_FC, info, body, untrue_FJ)
    if places is None or not (known_FJ := places.scored_FJ).any():
        return None
    refined_FJD, truth_FJD = places.relative()
    error_FJD = refined_FJD - truth_FJD
    count_J1 = known_FJ.sum(0).clamp(min=1)[:, None]
    constant_JD = (error_FJD * known_FJ[..., None]).sum(0) / count_J1
    moving_FJ = known_FJ[1:] & known_FJ[:-1]
    off_FJ = error_FJD.norm(dim=-1)
    in_space = truth_FJD.shape[-1] == 3
    within = [100 * _mean(off_FJ <= most, known_FJ) for most in (AUC_MM if in_space else ())]
    slide, stood = _slide(places, info) if in_space else (_NAN, 0)
    return MotionErrors(
        precision=_mean((error_FJD - constant_JD).norm(dim=-1), known_FJ),
        velocity=_mean(error_FJD.diff(dim=0).norm(dim=-1), moving_FJ),
        bone_spread=_bone_spread(refined_FJD, info) if in_space else _NAN,
        foot_slide=slide,
        pck=(_NAN,) * len(PCK_SHARES) if in_space else _pck(places, off_FJ, known_FJ),
        pck_150=within[AUC_MM.index(PCK_MM)] if within else _NAN,
        auc=sum(within) / len(within) if within else _NAN,
        ranges_2J=_ranges(refined_FJD, truth_FJD, known_FJ),
        peaks_2J=torch.stack([_peaks(one, moving_FJ) for one in (refined_FJD, truth_FJD)]),
        frames=len(off_FJ),
        stood=stood,
    )


def pool_motion(parts: Sequence[MotionErrors | None]) -> MotionErrors | None:
    """Return what became of several sequences together, by frames; None where nothing is known."""
    known = [part for part in parts if part is not None]
    if not known:
        return None

    def mean(of: Callable[[MotionErrors], float], fewer: int = 0) -> float:
        pairs = [(of(part), max(part.frames - fewer, 0)) for part in known]
        return _weighted(pairs)

    return MotionErrors(
        precision=mean(lambda part: part.precision),
        velocity=mean(lambda part: part.velocity, fewer=1),
        bone_spread=mean(lambda part: part.bone_spread),
        foot_slide=_weighted([(part.foot_slide, part.stood) for part in known]),
        pck=tuple(_weighted([(p.pck[k], p.frames) for p in known]) for k in range(len(PCK_SHARES))),
        pck_150=mean(lambda part: part.pck_150),
        auc=mean(lambda part: part.auc),
        ranges_2J=torch.stack([part.ranges_2J for part in known]).sum(0),
        peaks_2J=torch.stack([part.peaks_2J for part in known]).sum(0),
        frames=sum(part.frames for part in known),
        stood=sum(part.stood for part in known),
    )


def _ranges(refined_FJD: Tensor, truth_FJD: Tensor, known_FJ: Tensor) -> Tensor:
    """How far joints get along the direction in which the truth moves most, (2, J)."""
    known_JF1 = known_FJ.T[..., None]
    truth_JFD = truth_FJD.transpose(0, 1)
    count_J11 = known_JF1.sum(1, keepdim=True).clamp(min=1)
    about_JFD = truth_JFD - (truth_JFD * known_JF1).sum(1, keepdim=True) / count_J11
    spread_JDD = (about_JFD * known_JF1).transpose(1, 2) @ about_JFD
    most_JD1 = torch.linalg.eigh(spread_JDD).eigenvectors[..., -1:]

    def reach(motion_FJD: Tensor) -> Tensor:
        along_JF = (motion_FJD.transpose(0, 1) @ most_JD1).squeeze(-1)
        high_J = along_JF.masked_fill(~known_FJ.T, -math.inf).amax(1)
        low_J = along_JF.masked_fill(~known_FJ.T, math.inf).amin(1)
        reach_J: Tensor = (high_J - low_J).clamp(min=0)
        return reach_J

    return torch.stack([reach(refined_FJD), reach(truth_FJD)])


def _peaks(motion_FJD: Tensor, moving_FJ: Tensor) -> Tensor:
    if not len(moving_FJ):
        return motion_FJD.new_zeros(motion_FJD.shape[1])
    speed_FJ: Tensor = motion_FJD.diff(dim=0).norm(dim=-1)
    peak_J: Tensor = (speed_FJ * moving_FJ).amax(0)
    return peak_J


def _bone_spread(refined_FJD: Tensor, info: TrackInfo) -> float:
    edges = info.skeleton.edges if info.skeleton is not None else ()
    if not edges or info.joints != refined_FJD.shape[1]:
        return _NAN
    parents, children = (list(ends) for ends in zip(*edges, strict=True))
    length_FE = (refined_FJD[:, children] - refined_FJD[:, parents]).norm(dim=-1)
    return float(length_FE.std(0, correction=0).mean())


def _slide(places: Compared, info: TrackInfo) -> tuple[float, int]:
    """Horizontal way a frame of feet that stand, and how often one does."""
    feet = [info.joint_names.index(name) for name in _FEET if name in info.joint_names]
    truth_FJD, known_FJ = places.truth_FJD, places.scored_FJ
    if info.up is None or info.fps is None or not feet or len(truth_FJD) < 2:
        return _NAN, 0
    roots = list(info.roots) or list(range(info.joints))
    if float(truth_FJD[:, roots].mean(1).std(0, correction=0).amax()) < _PINNED_MM:
        return _NAN, 0
    height_FJ = truth_FJD[..., info.up]
    # Cameras have heights that grow downwards.
    if float(height_FJ[:, feet].mean()) > float(height_FJ.mean()):
        height_FJ = -height_FJ
    low_FL = height_FJ[:, feet] - height_FJ[:, feet].amin(0) < _STANDS_MM
    slow_FL = truth_FJD[:, feet].diff(dim=0).norm(dim=-1) * info.fps < _STANDS_MM_PER_S
    known_FL = known_FJ[:, feet]
    stands_FL = slow_FL & (low_FL & known_FL)[1:] & (low_FL & known_FL)[:-1]
    level = [axis for axis in range(3) if axis != info.up]
    way_FL = places.refined_FJD[:, feet].diff(dim=0)[..., level].norm(dim=-1)
    return _mean(way_FL, stands_FL), int(stands_FL.sum())


def _pck(places: Compared, off_FJ: Tensor, known_FJ: Tensor) -> tuple[float, ...]:
    known_FJ1 = known_FJ[..., None]
    high_FD = places.truth_FJD.masked_fill(~known_FJ1, -math.inf).amax(1)
    low_FD = places.truth_FJD.masked_fill(~known_FJ1, math.inf).amin(1)
    size_F1 = (high_FD - low_FD).amax(-1, keepdim=True)
    return tuple(100 * _mean(off_FJ <= share * size_F1, known_FJ) for share in PCK_SHARES)


def _mean(values: Tensor, counts: Tensor) -> float:
    return float(values[counts].double().mean()) if counts.any() else _NAN


def _weighted(pairs: Sequence[tuple[float, int]]) -> float:
    there = [(value, weight) for value, weight in pairs if weight and not math.isnan(value)]
    total = sum(weight for _, weight in there)
    return sum(value * weight for value, weight in there) / total if total else _NAN


def _share(pair_2: Tensor) -> float:
    mine, reference = pair_2.tolist()
    return 100 * mine / reference if reference > _STILL else _NAN


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value
