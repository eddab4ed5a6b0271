"""Two motions of the same people, one of which is taken for the truth.

Shape letters: F frames that both have, J joints that both have, D dimensions.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy.optimize import linear_sum_assignment

from poise.catalog.joint_sets import plain_joints
from poise.motion.motion import Motion
from poise.refining.grid import Floats, Mask, seen
from poise.refining.reporting.errors import figures_of, pair_of
from poise.runtime.errors import DataError

#: In millimetres, in which errors in space are reported.
_MM: Final = {"mm": 1.0, "cm": 10.0, "m": 1000.0}
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
    unit, scale = _scales(motion, reference)
    ours = motion.poses_FPJD[at][:, :, mine].astype(np.float64) * scale[0]
    truth = reference.poses_FPJD[other_at][:, :, theirs].astype(np.float64) * scale[1]
    return [
        _one((motion.people[one], reference.people[other]), ours[:, one], truth[:, other], names,
             unit, motion.times_F[at])
        for one, other in _pairs(ours, truth)
    ]  # fmt: skip


def _scales(motion: Motion, reference: Motion) -> tuple[str, tuple[Any, Any]]:
    """Return the unit of errors, and what either motion is multiplied by to be in it."""
    if motion.dims == 3 and "normalised" not in (motion.unit, reference.unit):
        mine, theirs = (_MM.get(one.unit or "m", 1000.0) for one in (motion, reference))
        return "mm", (mine, theirs)
    (mine_D, unit), (theirs_D, _) = motion.proportions, reference.proportions
    return unit or "px", (mine_D, theirs_D)


def _common_joints(motion: Motion, reference: Motion) -> tuple[list[str], list[int], list[int]]:
    mine, theirs = (plain_joints(one.joints) for one in (motion, reference))
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
    person: tuple[str, str],
    ours_FJD: Floats,
    truth_FJD: Floats,
    names: list[str],
    unit: str,
    times_F: Floats,
) -> Comparison:
    known_FJ = seen(ours_FJD) & seen(truth_FJD)
    # Frames that one of them lacks stay: what is before and after a gap is no step of a motion.
    ours, truth = (np.where(known_FJ[..., None], one, 0.0) for one in (ours_FJD, truth_FJD))
    pair = pair_of(ours, truth, known_FJ, _roots(names, known_FJ, ours_FJD.shape[-1]))
    apart_FJ = np.where(pair.scored_FJ, pair.apart_FJ, np.nan)
    count_F = pair.scored_FJ.sum(1)
    error_F = np.nansum(apart_FJ, 1) / np.where(count_F, count_F, np.nan)
    joints = {
        name: float(np.nanmean(apart_F))
        for name, apart_F in zip(names, apart_FJ.T, strict=True)
        if not np.isnan(apart_F).all()
    }
    figures = {name: x for name, x in figures_of(pair).items() if not math.isnan(x)}
    return Comparison(person, unit, int(known_FJ.any(1).sum()), figures, joints, times_F, error_F)


def _roots(names: list[str], known_FJ: Mask, dims: int) -> tuple[int, ...]:
    """Return the joints that others are relative to, in space, where both files show them."""
    for hips in (("pelvis",), ("left_hip", "right_hip")):
        if dims == 3 and all(hip in names for hip in hips):
            places = tuple(names.index(hip) for hip in hips)
            if known_FJ[:, list(places)].all(1).any():
                return places
    return ()
