"""The published metrics: MPJPE, PA-MPJPE and Accel, pooled over frames.

`poise.evaluation.motion` has those that say what became of the motion.

The convention is SmoothNet's, so that tables compare: 3D and SMPL joints are root-relative and
reported in mm, 2D is neither aligned nor centred and reported in px, and the acceleration error of
every sequence has a zero at both ends. SMPL poses are scored by the joints of a body model; where
there is none, by their rotations.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from poise.catalog.tracks import TrackInfo
from poise.evaluation import smpl
from poise.evaluation.rotations import acceleration_errors, angle_errors, matrices
from poise.evaluation.smpl import BodyModel
from poise.runtime.errors import DataError
from poise_retrieval.geometry.align import align
from poise_retrieval.geometry.skeletons import DIMS

DEGREES = "°"
_MM = 1000.0


@dataclass(frozen=True)
class PoseErrors:
    """Errors of one or many sequences, in the track's reported unit (Accel per frame^2).

    Of SMPL poses without a body model the unit is degrees: ``mpjpe`` is the mean angle between
    refined and true joint rotations (MPJAE), ``pa_mpjpe`` the same with the best turn of the whole
    body forgiven, which leaves the root out, and ``accel`` compares angular accelerations.

    ``accel`` has the two end zeros of the published convention, ``accel_interior`` has not.
    """

    mpjpe: float
    pa_mpjpe: float
    accel: float
    accel_interior: float
    frames: int


def pose_errors(
    refined_FC: Tensor,
    truth_FC: Tensor,
    info: TrackInfo,
    body: BodyModel | None = None,
    untrue_FJ: Tensor | None = None,
) -> PoseErrors:
    """Compare one refined sequence with its truth, frame by frame.

    Args:
        refined_FC: (F, C) in the track's stored units.
        truth_FC: the same shape.
        info: joints, dims, roots and the factor to the reported unit.
        body: gives joints to SMPL poses; without it their rotations are compared.
        untrue_FJ: joints whose truth is not known but filled: they are not scored, nor is any
            joint of a frame whose root is one of them. Of SMPL, rotations, and with a body all
            joints that hang on them.
    """
    places = compared(refined_FC, truth_FC, info, body, untrue_FJ)
    if places is not None:
        return _joint_errors(places)
    return _rotation_errors(matrices(refined_FC.double()), matrices(truth_FC.double()), untrue_FJ)


@dataclass(frozen=True)
class Compared:
    """Joints of a motion and of what it is compared with, in the reported unit, float64.

    Attributes:
        refined_FJD: where they are said to be, (F, J, D).
        truth_FJD: where they are.
        roots: the joints whose mean is the root; none where poses are not centred.
        known_FJ: the joints that are scored; None for all.
    """

    refined_FJD: Tensor
    truth_FJD: Tensor
    roots: tuple[int, ...]
    known_FJ: Tensor | None

    def relative(self) -> tuple[Tensor, Tensor]:
        """Both motions relative to their own roots."""
        return _relative(self.refined_FJD, self.roots), _relative(self.truth_FJD, self.roots)

    @property
    def scored_FJ(self) -> Tensor:
        """Which joints are scored, (F, J)."""
        if self.known_FJ is not None:
            return self.known_FJ
        return torch.ones(self.truth_FJD.shape[:2], dtype=torch.bool)


def compared(
    refined_FC: Tensor,
    truth_FC: Tensor,
    info: TrackInfo,
    body: BodyModel | None = None,
    untrue_FJ: Tensor | None = None,
) -> Compared | None:
    """Return the joints that two motions have in space or images; None of mere rotations.

    The arguments are those of `pose_errors`.
    """
    factor, roots = info.to_metric, info.roots
    if info.dims != DIMS["smpl"]:
        shape = (-1, info.joints, info.dims)
        refined_FJD, truth_FJD = (p.double().reshape(shape) for p in (refined_FC, truth_FC))
    elif body is None:
        return None
    else:
        refined_FJD, truth_FJD = body.joints(refined_FC).double(), body.joints(truth_FC).double()
        untrue_FJ = None if untrue_FJ is None else body.hang_on(untrue_FJ)
        factor, roots = _MM, smpl.ROOTS
    known_FJ = None
    if untrue_FJ is not None and untrue_FJ.any():
        known_FJ = ~untrue_FJ & ~untrue_FJ[:, list(roots)].any(dim=1, keepdim=True)
    return Compared(refined_FJD * factor, truth_FJD * factor, tuple(roots), known_FJ)


def unit(info: TrackInfo, body: BodyModel | None) -> str:
    """Return the unit of `pose_errors`; degrees mean that rotations were compared."""
    if info.dims != DIMS["smpl"]:
        return info.unit
    return DEGREES if body is None else "mm"


def pool(parts: Sequence[PoseErrors]) -> PoseErrors:
    """Return the errors of sequences together: the plain mean over all their frames.

    Raises:
        DataError: no frame was scored, because the root's truth is known in none.
    """
    frames = sum(s.frames for s in parts)
    if not frames:
        raise DataError("nothing to score: the truth of the root joints is known in no frame")
    interior = sum(max(s.frames - 2, 0) for s in parts)
    return PoseErrors(
        mpjpe=sum(s.mpjpe * s.frames for s in parts) / frames,
        pa_mpjpe=sum(s.pa_mpjpe * s.frames for s in parts) / frames,
        accel=sum(s.accel * s.frames for s in parts) / frames,
        accel_interior=sum(s.accel_interior * max(s.frames - 2, 0) for s in parts)
        / max(interior, 1),
        frames=frames,
    )


def _joint_errors(places: Compared) -> PoseErrors:
    refined_FJD, truth_FJD = places.relative()
    error_FJD = refined_FJD - truth_FJD
    bend_FJD = error_FJD[2:] - 2 * error_FJD[1:-1] + error_FJD[:-2]
    bend_FJ = bend_FJD.norm(dim=-1)
    apart_FJ = _distance(refined_FJD, truth_FJD)
    if places.known_FJ is None:
        aligned_FJ = _distance(align(refined_FJD, truth_FJD), truth_FJD)
        return _pose_errors(
            float(apart_FJ.mean()), float(aligned_FJ.mean()), bend_FJ, len(apart_FJ)
        )
    aligned_FJ = _aligned_by_known(refined_FJD, truth_FJD, places.known_FJ)
    return _known_errors(apart_FJ, aligned_FJ, bend_FJ, places.known_FJ)


def _aligned_by_known(refined_FJD: Tensor, truth_FJD: Tensor, known_FJ: Tensor) -> Tensor:
    """Distances after alignment by the known joints alone; 0 where a joint is not known."""
    found_FJ = refined_FJD.new_zeros(known_FJ.shape)
    for known_J in known_FJ.unique(dim=0):
        if known_J.any():
            rows_F = (known_FJ == known_J).all(dim=1)
            refined, truth = refined_FJD[rows_F][:, known_J], truth_FJD[rows_F][:, known_J]
            apart_FJ = found_FJ[rows_F]
            apart_FJ[:, known_J] = _distance(align(refined, truth), truth)
            found_FJ[rows_F] = apart_FJ
    return found_FJ


def _known_errors(
    error_FJ: Tensor, aligned_FJ: Tensor, bend_FJ: Tensor, known_FJ: Tensor
) -> PoseErrors:
    """Average over the joints whose truth is known; a joint bends where it is known thrice."""
    bent_FJ = known_FJ[2:] & known_FJ[1:-1] & known_FJ[:-2]
    bend = float(bend_FJ[bent_FJ].mean()) if bent_FJ.any() else 0.0
    frames = len(error_FJ)
    scored = bool(known_FJ.any())
    return PoseErrors(
        mpjpe=float(error_FJ[known_FJ].mean()) if scored else 0.0,
        pa_mpjpe=float(aligned_FJ[known_FJ].mean()) if scored else 0.0,
        accel=bend * max(frames - 2, 0) / frames,
        accel_interior=bend,
        frames=frames if scored else 0,
    )


def _rotation_errors(
    refined_FJ33: Tensor, truth_FJ33: Tensor, untrue_FJ: Tensor | None
) -> PoseErrors:
    angle_FJ = angle_errors(refined_FJ33, truth_FJ33)
    without_root_FJ = torch.cat([torch.zeros_like(angle_FJ[:, :1]), angle_FJ[:, 1:]], dim=1)
    bend_FJ = acceleration_errors(refined_FJ33, truth_FJ33)
    if untrue_FJ is not None and untrue_FJ.any():
        return _known_errors(angle_FJ, without_root_FJ, bend_FJ, ~untrue_FJ)
    return _pose_errors(
        float(angle_FJ.mean()), float(without_root_FJ.mean()), bend_FJ, len(angle_FJ)
    )


def _pose_errors(mpjpe: float, pa_mpjpe: float, bend_FJ: Tensor, frames: int) -> PoseErrors:
    bend_F = bend_FJ.mean(dim=-1)
    return PoseErrors(
        mpjpe=mpjpe,
        pa_mpjpe=pa_mpjpe,
        accel=float(bend_F.sum()) / frames,
        accel_interior=float(bend_F.mean()) if len(bend_F) else 0.0,
        frames=frames,
    )


def _relative(joints_FJD: Tensor, roots: Sequence[int]) -> Tensor:
    if not roots:
        return joints_FJD
    return joints_FJD - joints_FJD[:, list(roots)].mean(dim=1, keepdim=True)


def _distance(a_FJD: Tensor, b_FJD: Tensor) -> Tensor:
    distance_FJ: Tensor = (a_FJD - b_FJD).norm(dim=-1)
    return distance_FJ
