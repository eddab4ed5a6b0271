"""Poses of one row group as numbers a sequence: size, bone lengths, what is frozen or not finite.

Shape letters: S sequences, F frames of all of them, E bones.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from poise.catalog.tracks import TrackInfo
from poise.readers.missing import unseen

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class PoseFacts:
    """What one row group's poses are, S sequences of at least one frame each.

    Attributes:
        broken_S: holds NaN or infinity; such a sequence counts nowhere else.
        unseen_S: holds what stands for joints that nobody saw, as if it were positions.
        frozen_S: two frames or more, and nothing moves.
        size_S: mean distance of the outermost joint from the mean of all joints; of SMPL poses
            the largest departure from a rotation matrix's two columns.
        spread_SE: coefficient of variation of every bone's length; no bones where unknown.
    """

    broken_S: Bools
    unseen_S: Bools
    frozen_S: Bools
    size_S: Floats
    spread_SE: Floats


def measure(
    frames_FC: NDArray[np.float32], lengths_S: NDArray[np.int64], info: TrackInfo
) -> PoseFacts:
    """Measure sequences that lie one after the other.

    Args:
        frames_FC: all frames.
        lengths_S: frames of each, 1 or more.
        info: joints, dims and bones.
    """
    first_S = np.cumsum(lengths_S) - lengths_S
    broken_S = np.logical_or.reduceat(~np.isfinite(frames_FC).all(axis=1), first_S)
    clean_FC = np.where(np.isfinite(frames_FC), frames_FC, np.float32(0))
    highest_SC = np.maximum.reduceat(clean_FC, first_S)
    lowest_SC = np.minimum.reduceat(clean_FC, first_S)
    frozen_S = (lengths_S > 1) & (highest_SC == lowest_SC).all(axis=1) & ~broken_S
    joints_FJD = clean_FC.reshape(len(clean_FC), info.joints, info.dims).astype(np.float64)
    if info.dims == 6:
        size_S = np.maximum.reduceat(_departure(joints_FJD), first_S)
    else:
        centred_FJD = joints_FJD - joints_FJD.mean(axis=1, keepdims=True)
        reach_F = np.linalg.norm(centred_FJD, axis=-1).max(axis=1)
        size_S = np.add.reduceat(reach_F, first_S) / lengths_S
    unseen_S = _unseen(joints_FJD, first_S, lengths_S, info) & ~broken_S
    return PoseFacts(
        broken_S, unseen_S, frozen_S, size_S, _spread(joints_FJD, first_S, lengths_S, info)
    )


def bones(info: TrackInfo) -> list[str]:
    """Return the names of the bones in `PoseFacts.spread_SE`."""
    if info.dims != 3 or info.skeleton is None:
        return []
    return [f"{info.joint_names[a]}-{info.joint_names[b]}" for a, b in info.skeleton.edges]


def _unseen(
    joints_FJD: Floats, first_S: NDArray[np.int64], lengths_S: NDArray[np.int64], info: TrackInfo
) -> Bools:
    found_S = np.zeros(len(first_S), dtype=bool)
    if info.dims != 3:
        return found_S
    # Whoever writes a constant for a joint writes it for all its coordinates; few bodies have one.
    equal_F = (joints_FJD == joints_FJD[..., :1]).all(axis=-1).any(axis=1)
    for place in np.flatnonzero(np.logical_or.reduceat(equal_F, first_S)).tolist():
        frames = slice(first_S[place], first_S[place] + lengths_S[place])
        found_S[place] = unseen(joints_FJD[frames], info).any()
    return found_S


def _departure(columns_FJD: Floats) -> Floats:
    # Row-major first two columns: r00 r01 r10 r11 r20 r21.
    one_FJ3, two_FJ3 = columns_FJD[..., 0::2], columns_FJD[..., 1::2]
    off = [
        np.abs((one_FJ3 * one_FJ3).sum(-1) - 1),
        np.abs((two_FJ3 * two_FJ3).sum(-1) - 1),
        np.abs((one_FJ3 * two_FJ3).sum(-1)),
    ]
    return np.asarray(np.max(off, axis=0).max(axis=1))


def _spread(
    joints_FJD: Floats, first_S: NDArray[np.int64], lengths_S: NDArray[np.int64], info: TrackInfo
) -> Floats:
    if not bones(info) or info.skeleton is None:
        return np.zeros((len(first_S), 0))
    start_E, end_E = np.array(info.skeleton.edges).T
    length_FE = np.linalg.norm(joints_FJD[:, start_E] - joints_FJD[:, end_E], axis=-1)
    mean_SE = np.add.reduceat(length_FE, first_S) / lengths_S[:, None]
    off_FE = length_FE - np.repeat(mean_SE, lengths_S, axis=0)
    variance_SE = np.add.reduceat(off_FE**2, first_S) / lengths_S[:, None]
    return np.sqrt(variance_SE) / np.maximum(mean_SE, 1e-12)
