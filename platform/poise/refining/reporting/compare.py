"""Two motions of the same people, one of which is taken for the truth.

Shape letters: F frames that both have, J joints that both have, D dimensions, C = J x D.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from poise.catalog.dataset_file import Published
from poise.catalog.joint_sets import plain_joint
from poise.catalog.tracks import TrackInfo
from poise.evaluation.metrics import compared, pose_errors
from poise.evaluation.motion import PCK_SHARES, motion_errors
from poise.motion.motion import Motion
from poise.refining.grid import Floats, seen
from poise.runtime.errors import DataError

#: Of a metre, and of a millimetre, in which errors in space are reported.
_METRES: Final = {"mm": 1e-3, "cm": 1e-2, "m": 1.0}
_MM: Final = 1000.0
#: Frames are the same whose times differ by less, in steps.
_SAME: Final = 0.25


@dataclass(frozen=True)
class Comparison:
    """How far one person of a motion is from the reference.

    Attributes:
        person: the id in the motion, and in the reference.
        unit: of all errors.
        frames: that were compared.
        figures: MPJPE, PA-MPJPE, Accel (a frame^2) and more, by name.
        joints: mean distance of each joint.
        times_F: in seconds, or frame numbers where nobody knows the rate.
        error_F: mean distance in each frame; NaN where nothing is known.
    """

    person: tuple[str, str]
    unit: str
    frames: int
    figures: dict[str, float]
    joints: dict[str, float]
    times_F: Floats
    error_F: Floats

    def to_json(self) -> dict[str, Any]:
        """Return plain values, without those over time."""
        return {
            "person": self.person[0],
            "reference_person": self.person[1],
            "unit": self.unit,
            "frames": self.frames,
            **self.figures,
            "joints": self.joints,
        }


def compare(motion: Motion, reference: Motion) -> list[Comparison]:
    """Compare people by joints of the same name in frames of the same time.

    In space, joints are relative to the pelvis (or the middle of the hips) where both have one.

    Raises:
        DataError: no joints, frames or dimensions in common.
    """
    if motion.dims != reference.dims or motion.dims == 1:
        raise DataError(f"{motion.source} has {motion.dims}D joints, {reference.source} "
                        f"{reference.dims}D: nothing to compare")  # fmt: skip
    names, mine, theirs = _common_joints(motion, reference)
    at, other_at = _common_frames(motion, reference)
    scale = _METRES.get(motion.unit or "m", 1.0), _METRES.get(reference.unit or "m", 1.0)
    if motion.dims == 2:
        scale = (1.0, 1.0)
    ours = motion.poses_FPJD[at][:, :, mine].astype(np.float64) * scale[0]
    truth = reference.poses_FPJD[other_at][:, :, theirs].astype(np.float64) * scale[1]
    info = _info(names, motion)
    return [
        _one((motion.people[one], reference.people[other]), ours[:, one], truth[:, other], info,
             motion.times_F[at])
        for one, other in _pairs(ours, truth)
    ]  # fmt: skip


def _common_joints(motion: Motion, reference: Motion) -> tuple[list[str], list[int], list[int]]:
    mine, theirs = ([plain_joint(name) for name in one.joints] for one in (motion, reference))
    names = [name for name in dict.fromkeys(mine) if name in theirs]
    if not names:
        raise DataError(
            f"{motion.source} and {reference.source} have no joint of the same name; say whose "
            "they are with --skeleton"
        )
    return names, [mine.index(name) for name in names], [theirs.index(name) for name in names]


def _common_frames(motion: Motion, reference: Motion) -> tuple[Any, Any]:
    """Places of the frames that both have: by time where both know it, else by number."""
    if motion.rate_known and reference.rate_known:
        ours, theirs, step = motion.times_F, reference.times_F, 1 / (reference.fps or 1.0)
    else:
        ours, theirs = (one.frames_F.astype(np.float64) for one in (motion, reference))
        step = 1.0
    after = np.clip(np.searchsorted(theirs, ours), 1, max(len(theirs) - 1, 1))
    after = np.minimum(after, len(theirs) - 1)
    before = np.maximum(after - 1, 0)
    nearest = np.where(abs(theirs[before] - ours) < abs(theirs[after] - ours), before, after)
    same = abs(theirs[nearest] - ours) <= _SAME * step
    if not same.any():
        raise DataError(f"{motion.source} and {reference.source} have no frame of the same time")
    return np.flatnonzero(same), nearest[same]


def _pairs(ours_FPJD: Floats, truth_FPJD: Floats) -> list[tuple[int, int]]:
    """Match people by how near they are."""
    cost = np.array([
        [_apart(ours_FPJD[:, one], truth_FPJD[:, other]) for other in range(truth_FPJD.shape[1])]
        for one in range(ours_FPJD.shape[1])
    ])  # fmt: skip
    far = 1e12
    rows, columns = linear_sum_assignment(np.where(np.isnan(cost), far, cost))
    found = [
        (int(a), int(b)) for a, b in zip(rows, columns, strict=True) if cost[a, b] == cost[a, b]
    ]
    if not found:
        raise DataError("nobody is seen in both at the same time")
    return found


def _apart(ours_FJD: Floats, truth_FJD: Floats) -> float:
    apart_FJ = np.linalg.norm(ours_FJD - truth_FJD, axis=-1)
    known = apart_FJ[~np.isnan(apart_FJ)]
    return float(known.mean()) if known.size else float("nan")


def _one(
    person: tuple[str, str], ours_FJD: Floats, truth_FJD: Floats, info: TrackInfo, times_F: Floats
) -> Comparison:
    known_FJ = seen(ours_FJD) & seen(truth_FJD)
    kept_F = np.asarray(known_FJ.any(1))
    ours_FC, truth_FC = (
        _whole(np.where(known_FJ[..., None], one, 0.0)[kept_F]) for one in (ours_FJD, truth_FJD)
    )
    untrue_FJ = torch.from_numpy(~known_FJ[kept_F])
    errors = pose_errors(ours_FC, truth_FC, info, untrue_FJ=untrue_FJ)
    places = compared(ours_FC, truth_FC, info, untrue_FJ=untrue_FJ)
    more = motion_errors(ours_FC, truth_FC, info, untrue_FJ=untrue_FJ)
    figures = {"mpjpe": errors.mpjpe, "pa_mpjpe": errors.pa_mpjpe, "accel": errors.accel_interior}
    if more is not None:
        figures |= {"velocity": more.velocity, "range_kept": more.range_kept,
                    "peak_kept": more.peak_kept}  # fmt: skip
        figures |= (
            {"pck_150": more.pck_150, "auc": more.auc}
            if info.dims == 3
            else {f"pck_{share:g}": x for share, x in zip(PCK_SHARES, more.pck, strict=True)}
        )
    if places is None:
        raise DataError("these are rotations, which have no place to compare")
    ours, truth = places.relative()
    scored = places.scored_FJ.numpy()
    apart_FJ = np.where(scored, (ours - truth).norm(dim=-1).numpy(), np.nan)
    error_F = np.full(len(times_F), np.nan)
    count_F = scored.sum(1)
    error_F[kept_F] = np.nansum(apart_FJ, 1) / np.where(count_F, count_F, np.nan)
    joints = {
        name: float(np.nanmean(apart_J))
        for name, apart_J in zip(info.joint_names, apart_FJ.T, strict=True)
        if not np.isnan(apart_J).all()
    }
    return Comparison(person, info.unit, errors.frames, figures, joints, times_F, error_F)


def _whole(poses_FJD: Floats) -> Tensor:
    return torch.from_numpy(poses_FJD).flatten(1)


def _info(names: list[str], motion: Motion) -> TrackInfo:
    space = motion.dims == 3
    hips = ("pelvis",) if "pelvis" in names else ("left_hip", "right_hip")
    rooted = space and all(hip in names for hip in hips)
    return TrackInfo(
        joints=len(names), dims=motion.dims, joint_names=tuple(names),
        roots=tuple(names.index(hip) for hip in hips) if rooted else (),
        skeleton=None, fps=motion.fps, to_metric=_MM if space else 1.0,
        unit="mm" if space else motion.unit or "px", folder=None, noise=None,
        stored_joints=len(names), picked=None, metres=1.0, pixels=None, published=Published(),
        flip=None, up=None,
    )  # fmt: skip
