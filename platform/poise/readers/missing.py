"""Joints that nobody saw: found however a file stores them, and said.

Estimators write what they did not see as NaN, as (0, 0, 0), as another constant, or with confidence
0. None of these is a position. Shape letters: F frames, J joints, D dimensions.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from poise.catalog.tracks import TrackInfo

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

#: No joint is so far from the origin, in whatever unit; float32 holds its square.
FARTHEST = 1e6
#: Frames without anybody that a network is shown as they are.
LONGEST_ABSENCE = 8
#: What stands in all coordinates of a joint that was not seen, beside 0.
_SENTINELS = (-1.0, -999.0, -1000.0, -9999.0, -10000.0, -99999.0, 999.0, 9999.0, 99999.0)
#: Joints that root-relative files may be relative to.
_MIDDLE = ("pelvis", "hip", "spine", "torso", "thorax", "neck")
#: Confidences go from 0 to 1, 100 or 255; heatmaps overshoot a little, visibilities are 0, 1, 2.
_SUREST = 255.0


def unseen(poses_FJD: Floats, info: TrackInfo, confidence_FJ: Floats | None = None) -> Bools:
    """Return which joints were not seen, (F, J).

    Args:
        poses_FJD: as stored, before any change of unit: afterwards zeros are no zeros.
        info: the joints; the root of root-relative poses is at exactly 0, and was seen.
        confidence_FJ: of the estimator; 0 is what it did not see.
    """
    with np.errstate(invalid="ignore"):
        lost_FJ: Bools = np.logical_and.reduce(np.abs(poses_FJD) <= FARTHEST, axis=-1)
    lost_FJ = np.logical_not(lost_FJ)
    if confidence_FJ is not None:
        lost_FJ |= ~(confidence_FJ > 0)
    equal_FJ = np.logical_and.reduce(poses_FJD == poses_FJD[..., :1], axis=-1)
    if not np.logical_or.reduce(equal_FJ, axis=None):  # as in most frames of most streams
        return lost_FJ
    lost_FJ |= equal_FJ & np.isin(poses_FJD[..., 0], _SENTINELS)
    zero_FJ = equal_FJ & (poses_FJD[..., 0] == 0)
    if zero_FJ.any():
        zero_FJ[:, _origin(zero_FJ, lost_FJ, info)] = False
    lost_FJ |= zero_FJ
    return lost_FJ


def _origin(zero_FJ: Bools, lost_FJ: Bools, info: TrackInfo) -> Sequence[int]:
    """Return the joint that all others are relative to; none where poses have a place in space."""
    shown_F = ~(zero_FJ | lost_FJ).all(axis=1)
    if info.dims != 3 or not shown_F.any():
        return []
    always_J = (zero_FJ | lost_FJ)[shown_F].all(axis=0) & zero_FJ[shown_F].any(axis=0)
    always = np.flatnonzero(always_J).tolist()
    roots = [joint for joint in always if joint in info.roots]
    if roots or len(always) != 1:
        return roots
    return always if any(part in info.joint_names[always[0]] for part in _MIDDLE) else []


def never_seen(unseen_FJ: Bools) -> Bools:
    """Return the joints that no frame shows, (J,)."""
    never_J: Bools = np.logical_and.reduce(unseen_FJ, axis=0)
    return never_J


def confidences(values_FJ: NDArray[np.floating]) -> bool:
    """Say whether these may be confidences: from 0 to 1, 100 or 255, or NaN."""
    return bool(((values_FJ >= 0) & (values_FJ <= _SUREST) | np.isnan(values_FJ)).all())


def no_confidences(values_FJ: NDArray[np.floating]) -> str:
    """Say why these are no `confidences`."""
    low, high = np.nanmin(values_FJ), np.nanmax(values_FJ)
    return f"a confidence may follow each joint, from 0 to 1, 100 or 255, not {low:g} to {high:g}"


def runs(unseen_FJ: Bools) -> list[tuple[int, int, int]]:
    """Return the gaps of every joint: joint, first frame, frames."""
    found = []
    for joint in np.flatnonzero(unseen_FJ.any(axis=0)).tolist():
        edges = np.diff(unseen_FJ[:, joint].astype(np.int8), prepend=0, append=0)
        first, end = np.flatnonzero(edges > 0).tolist(), np.flatnonzero(edges < 0).tolist()
        found += [(joint, start, stop - start) for start, stop in zip(first, end, strict=True)]
    return found


def mask(gaps: Sequence[tuple[int, int, int]], frames: int, joints: int) -> Bools:
    """Return the joints of `runs` as a mask, (F, J)."""
    found_FJ = np.zeros((frames, joints), dtype=bool)
    for joint, first, count in gaps:
        found_FJ[first : first + count, joint] = True
    return found_FJ


def with_gaps(poses_FC: NDArray[np.float32], unseen_FJ: Bools) -> NDArray[np.float32]:
    """Return filled poses with NaN again where nobody saw a joint, for networks that take it.

    Where nobody was seen at all for longer than `LONGEST_ABSENCE`, poses stay filled: a window of
    nothing says not even where to look.
    """
    gaps_FJ = unseen_FJ.copy()
    nobody_F1: Bools = np.logical_and.reduce(unseen_FJ, axis=1, keepdims=True)
    for _, first, frames in runs(nobody_F1):
        if frames > LONGEST_ABSENCE:
            gaps_FJ[first : first + frames] = False
    poses_FJD = poses_FC.reshape(*unseen_FJ.shape, -1).copy()
    poses_FJD[gaps_FJ] = np.nan
    return poses_FJD.reshape(poses_FC.shape)


def described(unseen_FJ: Bools, names: Sequence[str]) -> list[str]:
    """Say what was filled, and how: what some frames show, and what no frame shows."""
    never_J = never_seen(unseen_FJ)
    lines = []
    if (unseen_FJ & ~never_J).any():
        lines.append(f"not seen, filled along time: {listed(unseen_FJ & ~never_J, names)}")
    if never_J.any():
        never = [names[joint] for joint in np.flatnonzero(never_J).tolist()]
        lines.append(f"seen in no frame, put where a body has it: {_some(never)}")
    return lines


def listed(unseen_FJ: Bools, names: Sequence[str]) -> str:
    """List joints and in how many frames each was not seen: ``left_wrist in 10 of 60 frames``."""
    counts_J = unseen_FJ.sum(axis=0)
    parts = [f"{names[joint]} in {counts_J[joint]}" for joint in np.flatnonzero(counts_J).tolist()]
    return f"{_some(parts)} of {len(unseen_FJ)} frames"


def _some(parts: Sequence[str]) -> str:
    more = f" and {len(parts) - _SHOWN} more joints" if len(parts) > _SHOWN else ""
    return ", ".join(parts[:_SHOWN]) + more


_SHOWN = 4
