"""The published metrics: MPJPE, PA-MPJPE and Accel, pooled over frames.

The convention is SmoothNet's, so that tables compare: 3D and SMPL joints are root-relative and
reported in mm, 2D is neither aligned nor centred and reported in px, and the acceleration error of
every sequence has a zero at both ends.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from poise.tracks import TrackInfo
from poise_retrieval.align import align


@dataclass(frozen=True)
class Scores:
    """Errors of one or many sequences, in the track's reported unit (Accel per frame^2).

    ``accel`` has the two end zeros of the published convention, ``accel_interior`` has not.
    """

    mpjpe: float
    pa_mpjpe: float
    accel: float
    accel_interior: float
    frames: int


def score(refined_FC: Tensor, truth_FC: Tensor, info: TrackInfo) -> Scores:
    """Score one sequence.

    Args:
        refined_FC: (F, C) in the track's stored units.
        truth_FC: the same shape.
        info: joints, dims, roots and the factor to the reported unit.
    """
    refined_FJD = _relative(refined_FC, info)
    truth_FJD = _relative(truth_FC, info)
    error_FJD = refined_FJD - truth_FJD
    bend_FJD = error_FJD[2:] - 2 * error_FJD[1:-1] + error_FJD[:-2]
    bend_F = bend_FJD.norm(dim=-1).mean(dim=-1)
    frames = len(error_FJD)
    return Scores(
        mpjpe=_distance(refined_FJD, truth_FJD),
        pa_mpjpe=_distance(align(refined_FJD, truth_FJD), truth_FJD),
        accel=float(bend_F.sum()) / frames,
        accel_interior=float(bend_F.mean()) if len(bend_F) else 0.0,
        frames=frames,
    )


def pool(scores: Sequence[Scores]) -> Scores:
    """The plain mean over all frames of all sequences."""
    frames = sum(s.frames for s in scores)
    interior = sum(max(s.frames - 2, 0) for s in scores)
    return Scores(
        mpjpe=sum(s.mpjpe * s.frames for s in scores) / frames,
        pa_mpjpe=sum(s.pa_mpjpe * s.frames for s in scores) / frames,
        accel=sum(s.accel * s.frames for s in scores) / frames,
        accel_interior=sum(s.accel_interior * max(s.frames - 2, 0) for s in scores)
        / max(interior, 1),
        frames=frames,
    )


def _relative(poses_FC: Tensor, info: TrackInfo) -> Tensor:
    joints_FJD = poses_FC.double().reshape(-1, info.joints, info.dims) * info.to_metric
    if not info.roots:
        return joints_FJD
    return joints_FJD - joints_FJD[:, list(info.roots)].mean(dim=1, keepdim=True)


def _distance(a_FJD: Tensor, b_FJD: Tensor) -> float:
    return float((a_FJD - b_FJD).norm(dim=-1).mean())
