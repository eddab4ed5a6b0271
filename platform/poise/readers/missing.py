"""Joints that nobody saw: found however a file stores them, and filled along time.

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
#: What stands in all coordinates of a joint that was not seen, beside 0.
_SENTINELS = (-1.0, -999.0, -1000.0, -9999.0, -10000.0, -99999.0, 999.0, 9999.0, 99999.0)
#: Joints that root-relative files may be relative to.
_MIDDLE = ("pelvis", "hip", "spine", "torso", "thorax", "neck")


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
    equal_FJ = (poses_FJD == poses_FJD[..., :1]).all(axis=-1)
    lost_FJ |= equal_FJ & np.isin(poses_FJD[..., 0], _SENTINELS)
    if confidence_FJ is not None:
        lost_FJ |= ~(confidence_FJ > 0)
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


def filled(poses_FC: NDArray[np.float32]) -> NDArray[np.float32]:
    """Put numbers where poses are NaN, between the frames before and after.

    A joint that is NaN in every frame stays so.
    """
    # Here and not above: torch takes seconds.
    import torch

    from poise_models.filters.gaps import filled as filled_tensor

    whole_FC: NDArray[np.float32] = filled_tensor(torch.from_numpy(poses_FC)).numpy()
    return whole_FC


def beside(poses_FJD: NDArray[np.float32], edges: Sequence[tuple[int, int]]) -> NDArray[np.float32]:
    """Put joints that are NaN in every frame where the nearest other joint along the bones is.

    Args:
        poses_FJD: (F, J, D).
        edges: the bones; a joint that none leads to stays NaN.
    """
    whole_FJD = poses_FJD.copy()
    never = set(np.flatnonzero(np.isnan(poses_FJD).all(axis=(0, 2))).tolist())
    while never:
        found = {
            joint: other
            for joint, other in (*edges, *((b, a) for a, b in edges))
            if joint in never and other not in never
        }
        if not found:
            break
        for joint, other in found.items():
            whole_FJD[:, joint] = whole_FJD[:, other]
        never -= set(found)
    return whole_FJD


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


def listed(unseen_FJ: Bools, names: Sequence[str]) -> str:
    """List joints and in how many frames each was not seen: ``left_wrist in 10 of 60 frames``."""
    counts_J = unseen_FJ.sum(axis=0)
    lost = np.flatnonzero(counts_J).tolist()
    parts = [f"{names[joint]} in {counts_J[joint]}" for joint in lost]
    text = ", ".join(parts[:_SHOWN])
    more = f" and {len(parts) - _SHOWN} more joints" if len(parts) > _SHOWN else ""
    return f"{text}{more} of {len(unseen_FJ)} frames"


_SHOWN = 4
