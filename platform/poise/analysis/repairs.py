"""Whether refiners put swapped sides right, and what they put into gaps.

Shape letters: F frames, J joints, D = 3 dimensions, L limbs, C channels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from torch import Tensor

from poise.analysis.contenders import Contender, Sequences
from poise.analysis.simulated_clips import body_of, detected, seen_as, truth_of
from poise.readers.missing import Bools
from poise.readers.simulated.body import Body
from poise.readers.simulated.strengths import FAULTLESS, Spell, Strengths
from poise.runtime.text.table import text_table

#: Frames of the gaps.
GAPS = (5, 15, 30)
_USUAL = Strengths()
_SWAPS = FAULTLESS._replace(swaps=_USUAL.swaps, flickers=_USUAL.flickers)
_ALL_BUT_SWAPS = _USUAL._replace(swaps=Spell(0.0, 1), clean=0.0, white=0.0)
_JITTER = FAULTLESS._replace(jitter_m=_USUAL.jitter_m)
#: Sides so near each other, in metres, have nothing to swap; and how exact a swap is.
_APART_M, _EXACT_M = 0.05, 1e-4
_MM = 1000.0


@dataclass(frozen=True)
class SwapRow:
    """What became of limbs whose sides the estimator swapped.

    Attributes:
        label: what tables call the refiner.
        errors: ``swaps alone`` or ``among all others``.
        swapped: limbs and frames that were swapped.
        repaired: those that the refiner has nearer to the truth than to the other side's, in %.
        spoilt: limbs and frames that were right, and are nearer to the other side's, in %.
    """

    label: str
    errors: str
    swapped: int
    repaired: float
    spoilt: float


@dataclass(frozen=True)
class GapRow:
    """How far off the joints in gaps are, in mm, in space.

    Attributes:
        label: what fills the gap.
        frames: of the gap.
        clean: where the frames around it are the truth.
        jitter: where they jitter as estimators' do.
    """

    label: str
    frames: int
    clean: float
    jitter: float


def swap_rows(test: Sequences, every: Sequence[Contender]) -> list[SwapRow]:
    """Say for every refiner which share of swapped limbs it repairs.

    A limb is one side's hip, knee and ankle, or shoulder, elbow and wrist; it counts in frames in
    which all three were swapped, and are apart from those of the other side.
    """
    body, info = body_of(test), test.track.info
    swapped = detected(test, _SWAPS, "swaps")
    wrong = [
        _swapped_limbs(torch.from_numpy(one.detected_FC), truth_of(one, info), body)
        for one in swapped.items
    ]
    kinds = {"swaps alone": swapped, "among all others": detected(swapped, _ALL_BUT_SWAPS, "more")}
    return [
        _judged(who, errors, seen, wrong, body) for errors, seen in kinds.items() for who in every
    ]


def swap_table(rows: Sequence[SwapRow]) -> str:
    """The shares as text."""
    header = ["sides", "refiner", "swapped limbs", "repaired %", "spoilt %"]
    body = [
        [row.errors, row.label, f"{row.swapped:,}", f"{row.repaired:.1f}", f"{row.spoilt:.2f}"]
        for row in rows
    ]
    return text_table(header, body, (0, 1))


def gap_rows(test: Sequences, learnt: Sequence[Contender]) -> list[GapRow]:
    """Hide the outer joints of a limb in the middle of every clip, and fill the gap.

    By straight lines, by cubic splines through all frames of the clip, and by refiners.
    """
    limbs_LJ = body_of(test).limbs_LJ.bool()
    around = test, detected(test, _JITTER, "gaps")
    rows = []
    for frames in GAPS:
        holes = [
            _hole(len(one.detected_FC), frames, limbs_LJ[number % len(limbs_LJ)])
            for number, one in enumerate(test.items)
        ]
        clean, jitter = (_gap_errors(seen, holes, learnt) for seen in around)
        rows += [GapRow(label, frames, clean[label], jitter[label]) for label in clean]
    return rows


def gap_table(rows: Sequence[GapRow]) -> str:
    """The errors in gaps as text."""
    labels = dict.fromkeys(row.label for row in rows)
    cells = {(row.label, row.frames): f"{row.clean:.1f} / {row.jitter:.1f}" for row in rows}
    header = ["mm in gaps, clean / jitter around", *(f"{frames} frames" for frames in GAPS)]
    body = [[label, *(cells[label, frames] for frames in GAPS)] for label in labels]
    return text_table(header, body)


def _judged(
    who: Contender, errors: str, seen: Sequences, swapped: Sequence[Tensor], body: Body
) -> SwapRow:
    limbs_LJ = _whole_limbs(body)
    wrong = repaired = right = spoilt = 0
    for one, refined, swapped_FL in zip(seen.items, seen.refined(who), swapped, strict=True):
        truth_FJD = truth_of(one, seen.track.info)
        poses_FJD = refined.poses_FC.reshape(truth_FJD.shape)
        there_FJ = (poses_FJD - truth_FJD).norm(dim=-1)
        other_FJ = (poses_FJD - truth_FJD[:, body.other_J]).norm(dim=-1)
        is_right_FL = (there_FJ @ limbs_LJ.T) < (other_FJ @ limbs_LJ.T)
        steady_FL = _apart(truth_FJD, body) & ~swapped_FL
        wrong += int(swapped_FL.sum())
        repaired += int((is_right_FL & swapped_FL).sum())
        right += int(steady_FL.sum())
        spoilt += int((steady_FL & ~is_right_FL).sum())
    shares = 100 * repaired / max(wrong, 1), 100 * spoilt / max(right, 1)
    return SwapRow(who.label, errors, wrong, *shares)


def _whole_limbs(body: Body) -> Tensor:
    """Limbs with their first joints, (L, J)."""
    limbs_LJ = body.limbs_LJ.clone()
    for limb_J in limbs_LJ:
        limb_J[body.base_J[limb_J.bool()]] = 1.0
    return limbs_LJ


def _apart(truth_FJD: Tensor, body: Body) -> Tensor:
    """Limbs and frames whose joints are all apart from the other side's, (F, L)."""
    apart_FJ = (truth_FJD - truth_FJD[:, body.other_J]).norm(dim=-1) > _APART_M
    return _all_of(apart_FJ, body)


def _swapped_limbs(seen_FC: Tensor, truth_FJD: Tensor, body: Body) -> Tensor:
    """Limbs and frames where all joints are exactly at the other side's, (F, L)."""
    off_FJ = (seen_FC.reshape(truth_FJD.shape) - truth_FJD[:, body.other_J]).norm(dim=-1)
    return _all_of(off_FJ < _EXACT_M, body) & _apart(truth_FJD, body)


def _all_of(holds_FJ: Tensor, body: Body) -> Tensor:
    limbs_LJ = _whole_limbs(body)
    all_FL: Tensor = torch.eq(holds_FJ.float() @ limbs_LJ.T, limbs_LJ.sum(1))
    return all_FL


def _hole(frames: int, gap: int, limb_J: Tensor) -> Bools:
    hole_FJ = np.zeros((frames, len(limb_J)), dtype=bool)
    first = (frames - gap) // 2
    hole_FJ[first : first + gap] = limb_J.numpy()
    return hole_FJ


def _gap_errors(
    seen: Sequences, holes: Sequence[Bools], learnt: Sequence[Contender]
) -> dict[str, float]:
    """The mean error in the gaps, in mm, by what fills them."""
    whole, info = _poses(seen), seen.track.info
    hidden = [
        seen_as(one, poses_FJD.masked_fill(torch.from_numpy(hole_FJ)[..., None], torch.nan), info)
        for one, poses_FJD, hole_FJ in zip(seen.items, whole, holes, strict=True)
    ]
    gaps = Sequences(seen.track, hidden)
    pairs = zip(whole, holes, strict=True)
    filled = {
        "straight lines": _poses(gaps),
        "cubic splines": [_spline(poses_FJD, hole_FJ) for poses_FJD, hole_FJ in pairs],
    }
    for who in learnt:
        filled[who.label] = [refined.poses_FC for refined in gaps.refined(who)]
    return {label: _hole_error(poses, seen, holes) for label, poses in filled.items()}


def _poses(seen: Sequences) -> list[Tensor]:
    joints = seen.track.info.joints
    return [torch.from_numpy(one.detected_FC).unflatten(-1, (joints, -1)) for one in seen.items]


def _spline(poses_FJD: Tensor, hole_FJ: Bools) -> Tensor:
    whole_FJD, frame_F = poses_FJD.numpy().copy(), np.arange(len(poses_FJD))
    for joint in np.flatnonzero(hole_FJ.any(0)):
        hole_F = hole_FJ[:, joint]
        spline = CubicSpline(frame_F[~hole_F], whole_FJD[~hole_F, joint])
        whole_FJD[hole_F, joint] = spline(frame_F[hole_F])
    return torch.from_numpy(whole_FJD)


def _hole_error(found: Sequence[Tensor], seen: Sequences, holes: Sequence[Bools]) -> float:
    errors = []
    for poses, one, hole_FJ in zip(found, seen.items, holes, strict=True):
        truth_FJD = truth_of(one, seen.track.info)
        off_FJ = (poses.reshape(truth_FJD.shape) - truth_FJD).norm(dim=-1)
        errors.append(off_FJ[torch.from_numpy(hole_FJ)])
    return _MM * float(torch.cat(errors).mean())
