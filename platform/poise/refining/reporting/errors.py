"""Errors of one motion against another, in NumPy: `poise.evaluation` says the same with torch.

Files are compared in less time than torch takes to load. Tests hold the two to the same figures.
Shape letters: F frames, J joints, D dimensions.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from poise.refining.grid import Floats, Mask

#: Shares of a person's size within which a joint is found, in images; in space, millimetres, and
#: the thresholds under whose curve the area is.
_PCK_SHARES: Final = (0.05, 0.1, 0.2)
_PCK_MM: Final = 150.0
_AUC_MM: Final = np.arange(31) * 5.0
#: What moves less does not move.
_STILL: Final = 1e-6


@dataclass(frozen=True)
class Pair:
    """A motion and its reference, in the unit of the errors.

    Attributes:
        ours_FJD: anything where `scored_FJ` is false, but finite.
        truth_FJD: likewise.
        scored_FJ: the joints that count.
    """

    ours_FJD: Floats
    truth_FJD: Floats
    scored_FJ: Mask

    @property
    def apart_FJ(self) -> Floats:
        """Distance of each joint, also where it does not count."""
        return np.asarray(np.linalg.norm(self.ours_FJD - self.truth_FJD, axis=-1), np.float64)


def pair_of(ours_FJD: Floats, truth_FJD: Floats, known_FJ: Mask, roots: tuple[int, ...]) -> Pair:
    """Return two motions relative to the middle of their root joints, where there are some.

    A joint counts where both motions have it and, in the same frame, the roots.
    """
    if not roots:
        return Pair(ours_FJD, truth_FJD, known_FJ)
    places = list(roots)
    ours, theirs = (one - one[:, places].mean(1, keepdims=True) for one in (ours_FJD, truth_FJD))
    return Pair(ours, theirs, known_FJ & known_FJ[:, places].all(1, keepdims=True))


def figures_of(pair: Pair) -> dict[str, float]:
    """Return MPJPE, PA-MPJPE, Accel and more, by name; NaN where one is not defined."""
    scored_FJ, in_space = pair.scored_FJ, pair.truth_FJD.shape[-1] == 3
    off_FJD = pair.ours_FJD - pair.truth_FJD
    aligned_FJ = np.linalg.norm(_aligned(pair) - pair.truth_FJD, axis=-1)
    bent_FJ = scored_FJ[2:] & scored_FJ[1:-1] & scored_FJ[:-2]
    moving_FJ = scored_FJ[1:] & scored_FJ[:-1]
    found = {
        "mpjpe": _mean(pair.apart_FJ, scored_FJ),
        "pa_mpjpe": _mean(aligned_FJ, scored_FJ),
        "accel": _mean(np.linalg.norm(np.diff(off_FJD, 2, axis=0), axis=-1), bent_FJ),
        "velocity": _mean(np.linalg.norm(np.diff(off_FJD, axis=0), axis=-1), moving_FJ),
        "range_kept": _kept(*_ranges(pair)),
        "peak_kept": _kept(*(_peaks(one, moving_FJ) for one in (pair.ours_FJD, pair.truth_FJD))),
    }
    if in_space:
        within = [100 * _mean(pair.apart_FJ <= most, scored_FJ) for most in _AUC_MM]
        at = int(np.flatnonzero(_AUC_MM == _PCK_MM)[0])
        return found | {"pck_150": within[at], "auc": float(np.mean(within))}
    size_F1 = _size(pair)
    return found | {
        f"pck_{share:g}": 100 * _mean(pair.apart_FJ <= share * size_F1, scored_FJ)
        for share in _PCK_SHARES
    }


def _aligned(pair: Pair) -> Floats:
    """Bring each frame onto its reference by the best similarity of the joints that count."""
    weight_FJ1 = pair.scored_FJ[..., None].astype(np.float64)
    count_F11 = np.maximum(weight_FJ1.sum(1, keepdims=True), 1)
    ours_F1D, truth_F1D = (
        (one * weight_FJ1).sum(1, keepdims=True) / count_F11
        for one in (pair.ours_FJD, pair.truth_FJD)
    )
    centred_FJD = pair.ours_FJD - ours_F1D
    weighed_FJD = centred_FJD * weight_FJ1
    left_FDD, gain_FD, right_FDD = np.linalg.svd(
        (pair.truth_FJD - truth_F1D).swapaxes(1, 2) @ weighed_FJD
    )
    # No mirror image, though it may fit better.
    sign_FD = np.ones_like(gain_FD)
    sign_FD[:, -1] = np.where(np.linalg.det(left_FDD @ right_FDD) < 0, -1.0, 1.0)
    turn_FDD = (left_FDD * sign_FD[:, None]) @ right_FDD
    spread_F = np.square(weighed_FJD).sum((1, 2))
    wide_F = spread_F > np.finfo(np.float64).tiny
    scale_F = np.where(wide_F, (gain_FD * sign_FD).sum(1) / np.where(wide_F, spread_F, 1.0), 1.0)
    aligned_FJD: Floats = scale_F[:, None, None] * centred_FJD @ turn_FDD.swapaxes(1, 2) + truth_F1D
    return aligned_FJD


def _ranges(pair: Pair) -> tuple[Floats, Floats]:
    """How far joints of both get in the direction in which the reference moves most, (J,)."""
    known_JF1 = pair.scored_FJ.T[..., None]
    truth_JFD = pair.truth_FJD.swapaxes(0, 1)
    count_J11 = np.maximum(known_JF1.sum(1, keepdims=True), 1)
    middle_J1D = (truth_JFD * known_JF1).sum(1, keepdims=True) / count_J11
    about_JFD = (truth_JFD - middle_J1D) * known_JF1
    most_JD1 = np.linalg.eigh(about_JFD.swapaxes(1, 2) @ about_JFD).eigenvectors[..., -1:]

    def reach(motion_FJD: Floats) -> Floats:
        along_JF = (motion_FJD.swapaxes(0, 1) @ most_JD1)[..., 0]
        high_J = np.where(pair.scored_FJ.T, along_JF, -np.inf).max(1)
        low_J = np.where(pair.scored_FJ.T, along_JF, np.inf).min(1)
        return np.asarray(np.maximum(high_J - low_J, 0.0), np.float64)

    return reach(pair.ours_FJD), reach(pair.truth_FJD)


def _peaks(motion_FJD: Floats, moving_FJ: Mask) -> Floats:
    speed_FJ = np.linalg.norm(np.diff(motion_FJD, axis=0), axis=-1) * moving_FJ
    return np.asarray(speed_FJ.max(0, initial=0.0), np.float64)


def _size(pair: Pair) -> Floats:
    """The larger side of the box around the reference, (F, 1)."""
    known_FJ1 = pair.scored_FJ[..., None]
    high_FD = np.where(known_FJ1, pair.truth_FJD, -np.inf).max(1)
    low_FD = np.where(known_FJ1, pair.truth_FJD, np.inf).min(1)
    return np.asarray((high_FD - low_FD).max(-1, keepdims=True), np.float64)


def _mean(values_FJ: Floats | Mask, counts_FJ: Mask) -> float:
    return float(values_FJ[counts_FJ].mean()) if counts_FJ.any() else float("nan")


def _kept(ours_J: Floats, truth_J: Floats) -> float:
    reference = float(truth_J.sum())
    return 100 * float(ours_J.sum()) / reference if reference > _STILL else float("nan")
