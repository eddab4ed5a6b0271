"""What refining took away and what it left of one person's motion, without a truth.

Shape letters: F frames, J joints, D dimensions, E bones.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy.signal import detrend

from poise.refining.grid import Floats, Mask, blocks, seen
from poise.refining.method import spans

#: Voluntary movement has little above it.
JITTER_HZ: Final = 6.0
#: Speeds are measured over so long: between neighbouring frames they are mostly jitter.
_SPEED_S: Final = 0.1
#: Shares of frames between which a joint's range lies, and below which its speed does.
_RANGE: Final = (0.01, 0.99)
_PEAK: Final = 0.99
#: In so many of the frames.
_STEADY: Final = 0.9
#: Shorter runs tell nothing about frequencies.
_FEWEST: Final = 16
#: What is shorter beside the longest bone is two joints in one place.
_SHORTEST: Final = 0.02


@dataclass(frozen=True)
class Measures:
    """A motion in figures, in its own unit; NaN where there is too little of it.

    Attributes:
        acceleration: mean, a frame^2.
        jitter: root mean square of what is faster than `JITTER_HZ`.
        ranges_J: from where to where a joint gets, outermost hundredths of the frames left out.
        peaks_J: speed over 0.1 s that a hundredth of the frames exceeds, a second.
        lengths_E: mean length of each bone.
        spreads_E: standard deviation of it.
    """

    acceleration: float
    jitter: float
    ranges_J: Floats
    peaks_J: Floats
    lengths_E: Floats
    spreads_E: Floats

    @property
    def bone_spread(self) -> float:
        """Mean spread of bones, as a share of their lengths; NaN without bones.

        Joints in one place, as hips of BVH skeletons are, have no bone between them.
        """
        known_E = self.lengths_E > _SHORTEST * np.fmax.reduce(self.lengths_E, initial=0.0)
        if not known_E.any():
            return float("nan")
        return float((self.spreads_E[known_E] / self.lengths_E[known_E]).mean())


def measured(
    poses_FJD: Floats, there_FJ: Mask, bones: Sequence[tuple[int, int]], fps: float
) -> Measures:
    """Measure a motion.

    Args:
        poses_FJD: of one person.
        there_FJ: which places count; the same ones before and after refining, to compare them.
        bones: pairs of joints.
        fps: frames a second.
    """
    poses_FJD = np.where(there_FJ[..., None], poses_FJD, np.nan)
    ends = np.array(bones, np.int64).reshape(-1, 2)
    bend_FJ = np.concatenate(
        [np.linalg.norm(np.diff(poses_FJD[part], 2, axis=0), axis=-1)
         for part in blocks(len(poses_FJD), before=2)]
    )  # fmt: skip
    length_FE = np.concatenate(
        [np.linalg.norm(poses_FJD[part, ends[:, 0]] - poses_FJD[part, ends[:, 1]], axis=-1)
         for part in blocks(len(poses_FJD))]
    )  # fmt: skip
    return Measures(
        acceleration=_mean(bend_FJ),
        jitter=_jitter(poses_FJD, fps),
        ranges_J=_ranges(poses_FJD),
        peaks_J=_peaks(poses_FJD, fps),
        lengths_E=_by_column(length_FE, np.mean),
        spreads_E=_by_column(length_FE, np.std),
    )


def _mean(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def _by_column(values_FX: Floats, of: Callable[[Floats], Any]) -> Floats:
    """Apply a function to what is known in each column."""
    known = (column[~np.isnan(column)] for column in values_FX.T)
    return np.array([of(one) if one.size else np.nan for one in known])


def _jitter(poses_FJD: Floats, fps: float) -> float:
    """Root mean square above `JITTER_HZ`, over all runs without gaps and all dimensions."""
    if fps <= 2 * JITTER_HZ:
        return float("nan")
    power, weight = 0.0, 0
    for joint_FD in poses_FJD.transpose(1, 0, 2):
        for part in spans(seen(joint_FD)):
            run_GD = joint_FD[part]
            if len(run_GD) < _FEWEST:
                continue
            power += float(_fast_power(run_GD, fps).sum()) * len(run_GD)
            weight += len(run_GD)
    return float(np.sqrt(power / weight)) if weight else float("nan")


def _fast_power(run_GD: Floats, fps: float) -> Floats:
    """Mean square of what is faster than `JITTER_HZ`, of each dimension."""
    window_G1 = np.hanning(len(run_GD))[:, None]
    spectrum_HD = np.fft.rfft(detrend(run_GD, axis=0) * window_G1, axis=0)
    fast_H = np.fft.rfftfreq(len(run_GD), 1 / fps) > JITTER_HZ
    share = len(run_GD) * float((window_G1**2).sum())
    power_D: Floats = 2 * (np.abs(spectrum_HD[fast_H]) ** 2).sum(0) / share
    return power_D


def _ranges(poses_FJD: Floats) -> Floats:
    """Diagonal of the box that a joint stays in, relative to the mean of those mostly seen."""
    steady_J = seen(poses_FJD).mean(0) > _STEADY
    centre_FD = np.zeros((len(poses_FJD), poses_FJD.shape[-1]))
    if steady_J.any():
        for part in blocks(len(poses_FJD)):
            centre_FD[part] = poses_FJD[part, steady_J].mean(1)
    found = []
    for joint_FD in poses_FJD.transpose(1, 0, 2):
        about_FD = joint_FD - centre_FD
        known_FD = about_FD[seen(about_FD)]
        if not len(known_FD):
            found.append(np.nan)
            continue
        low_D, high_D = np.quantile(known_FD, _RANGE, axis=0)
        found.append(float(np.linalg.norm(high_D - low_D)))
    return np.array(found)


def way(from_FJD: Floats, to_FJD: Floats) -> Floats:
    """How far joints are from where they were, (F, J)."""
    found_FJ = np.empty(from_FJD.shape[:2])
    for part in blocks(len(from_FJD)):
        found_FJ[part] = np.linalg.norm(to_FJD[part] - from_FJD[part], axis=-1)
    return found_FJ


def _peaks(poses_FJD: Floats, fps: float) -> Floats:
    apart = max(round(_SPEED_S * fps), 1)
    if len(poses_FJD) <= apart:
        return np.full(poses_FJD.shape[1], np.nan)
    speed_FJ = way(poses_FJD[:-apart], poses_FJD[apart:]) * (fps / apart)
    return _by_column(speed_FJ, lambda known: np.quantile(known, _PEAK))
