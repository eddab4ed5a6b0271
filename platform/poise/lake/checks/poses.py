"""Poses of one row group as numbers a sequence: size, bone lengths, what is frozen or not finite.

Shape letters: S sequences, F frames of all of them, E bones.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from poise.catalog.tracks import TrackInfo

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: Median distance of a person's outermost joint from the mean of all joints, metres.
PERSON = 0.9
#: A body within this factor of it is a person; small children and long-limbed dancers are.
TOLERANCE = 1.8
_NEAR = 1.35


@dataclass(frozen=True)
class PoseFacts:
    """What one row group's poses are, S sequences of at least one frame each.

    Attributes:
        broken_S: holds NaN or infinity; such a sequence counts nowhere else.
        frozen_S: two frames or more, and nothing moves.
        size_S: mean distance of the outermost joint from the mean of all joints; of SMPL poses
            the largest departure from a rotation matrix's two columns.
        spread_SE: coefficient of variation of every bone's length; no bones where unknown.
    """

    broken_S: Bools
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
    return PoseFacts(broken_S, frozen_S, size_S, _spread(joints_FJD, first_S, lengths_S, info))


def bones(info: TrackInfo) -> list[str]:
    """Return the names of the bones in `PoseFacts.spread_SE`."""
    if info.dims != 3 or info.skeleton is None:
        return []
    return [f"{info.joint_names[a]}-{info.joint_names[b]}" for a, b in info.skeleton.edges]


def wrong_unit(size: float) -> str:
    """Say which unit a body of this size is in by mistake; nothing where it is a person's.

    Args:
        size: median of `PoseFacts.size_S`, which should be metres.
    """
    ratio = size / PERSON
    if 1 / TOLERANCE < ratio < TOLERANCE:
        return ""
    for factor, reading in _UNITS:
        if factor / _NEAR < ratio < factor * _NEAR:
            return reading
    return "no unit in use explains this: look at the raw file's own unit"


#: How much too large a person is, and the likely reason.
_UNITS = (
    (1000.0, 'millimetres: multiply by 0.001, or say unit = "mm" in the data set\'s TOML file'),
    (100.0, "centimetres: multiply by 0.01 before ingest"),
    (39.37, "inches: multiply by 0.0254 before ingest"),
    (17.72, "CMU's ASF units: multiply by 0.0254 / 0.45, or use poise convert"),
    (0.4500, "CMU's ASF units read as inches: divide by 0.45, or use poise convert"),
    (0.1772, "CMU's ASF units read as centimetres: multiply by 5.644, or use poise convert"),
    (0.001, "metres that were taken for millimetres: multiply by 1000"),
)


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
