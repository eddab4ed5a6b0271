"""Similarity alignment of point sets (Umeyama 1991): scale, proper rotation, translation.

Shape letters: B point sets, P points of a set, D = 2 or 3 dims.
"""

from dataclasses import dataclass
from typing import Any, Final

import torch
from numpy.typing import NDArray
from torch import Tensor

from poise_retrieval.errors import VectorError

Points = Tensor | NDArray[Any]

#: Below this the best rotation is so little better than others that rounding would choose.
_FIRM: Final = 1e-4
_NEWTON_STEPS: Final = 32
_SETTLED: Final = 1e-14


@dataclass(frozen=True)
class Similarity:
    """One similarity per point set: ``x -> scale * rotation @ x + translation``."""

    scale_B: Tensor
    rotation_BDD: Tensor
    translation_BD: Tensor

    def apply(self, points_BPD: Points) -> Tensor:
        """Move points (B, P, D); P may differ from that of the sets it was fitted to."""
        points_BPD = _tensor(points_BPD).to(self.rotation_BDD)
        stretched_BDD = self.scale_B[:, None, None] * self.rotation_BDD
        return _moved(points_BPD, stretched_BDD, self.translation_BD[:, None])


def similarity(source_BPD: Points, target_BPD: Points) -> Similarity:
    """Fit the similarities that bring each source set closest to its target, in least squares.

    Rotations are proper, also where a mirror image would fit better. A source whose points are all
    equal keeps scale 1 and moves onto the target's centre. Computed in the source's precision, on
    its device.

    Args:
        source_BPD: (B, P, D) tensor or array.
        target_BPD: (B, P, D), or one target for all: (P, D) or (1, P, D).

    Returns:
        B similarities.

    Raises:
        VectorError: shapes do not match, or a coordinate is not finite.
    """
    fit = _fit(source_BPD, target_BPD)
    turned_BD = (fit.rotation_BDD @ fit.source_mean_B1D.mT).squeeze(-1)
    translation_BD = fit.target_mean_B1D.squeeze(-2) - fit.scale_B[:, None] * turned_BD
    return Similarity(fit.scale_B, fit.rotation_BDD, translation_BD)


def align(source_BPD: Points, target_BPD: Points) -> Tensor:
    """Move every source set onto its target by the best similarity; see `similarity`.

    Returns:
        (B, P, D), in the source's precision.
    """
    fit = _fit(source_BPD, target_BPD)
    stretched_BDD = fit.scale_B[:, None, None] * fit.rotation_BDD
    return _moved(fit.centred_BPD, stretched_BDD, fit.target_mean_B1D)


@dataclass(frozen=True)
class _Fit:
    centred_BPD: Tensor
    source_mean_B1D: Tensor
    target_mean_B1D: Tensor
    scale_B: Tensor
    rotation_BDD: Tensor


def _fit(source: Points, target: Points) -> _Fit:
    source_BPD = _tensor(source)
    target_BPD = _tensor(target).to(source_BPD)
    _check(source_BPD, target_BPD)
    if target_BPD.dim() == 2:
        target_BPD = target_BPD[None]
    source_mean_B1D = source_BPD.mean(-2, keepdim=True)
    target_mean_B1D = target_BPD.mean(-2, keepdim=True)
    centred_BPD = _centred(source_BPD, source_mean_B1D)
    spread_B = centred_BPD.square().sum((-2, -1))
    has_extent_B = spread_B > torch.finfo(source_BPD.dtype).tiny
    covariance_BDD = _covariance(centred_BPD, _centred(target_BPD, target_mean_B1D))
    turn = _turn_2d if source_BPD.shape[-1] == 2 else _turn_3d
    rotation_BDD, gain_B = turn(covariance_BDD.to(torch.float64))
    ratio_B = gain_B.to(source_BPD) / spread_B.where(has_extent_B, 1.0)
    scale_B = ratio_B.where(has_extent_B, 1.0)
    return _Fit(centred_BPD, source_mean_B1D, target_mean_B1D, scale_B, rotation_BDD.to(source_BPD))


def _moved(points_BPD: Tensor, turn_BDD: Tensor, to_B1D: Tensor) -> Tensor:
    # All x beside one another, then all y: products of three numbers at a time take a CPU four
    # times as long as turning the points round and back.
    points_BDP = points_BPD.mT.contiguous()
    moved_BDP = torch.baddbmm(to_B1D.mT.expand_as(points_BDP), turn_BDD, points_BDP)
    return moved_BDP.mT.contiguous()


def _centred(points_BPD: Tensor, mean_B1D: Tensor) -> Tensor:
    if points_BPD.device.type != "cpu":
        return points_BPD - mean_B1D
    # As a product with ones and zeros, which is exact: subtracting three numbers at a time takes
    # a CPU four times as long.
    points, dims = points_BPD.shape[1:]
    tile_DC = torch.eye(dims).to(points_BPD).repeat(1, points)
    return points_BPD - (mean_B1D.squeeze(1) @ tile_DC).view_as(points_BPD)


def _covariance(centred_BPD: Tensor, target_BPD: Tensor) -> Tensor:
    if len(target_BPD) != 1:
        return target_BPD.mT @ centred_BPD
    # One product for all sets: small ones by the thousand cost ten times as much.
    target_PD = target_BPD[0]
    points, dims = target_PD.shape
    eye_DD = torch.eye(dims).to(target_PD)
    spread_PDDD = target_PD[:, None, :, None] * eye_DD[:, None]
    flat_BC = centred_BPD.reshape(-1, points * dims)
    return (flat_BC @ spread_PDDD.reshape(points * dims, -1)).reshape(-1, dims, dims)


def _turn_2d(covariance_BDD: Tensor) -> tuple[Tensor, Tensor]:
    """Read the rotation off a sum of complex products."""
    (xx_B, xy_B), (yx_B, yy_B) = (row_B2.unbind(-1) for row_B2 in covariance_BDD.unbind(-2))
    real_B, imaginary_B = xx_B + yy_B, yx_B - xy_B
    gain_B = torch.hypot(real_B, imaginary_B)
    turns_B = gain_B > torch.finfo(gain_B.dtype).tiny
    cosine_B = torch.where(turns_B, real_B / gain_B, 1.0)
    sine_B = torch.where(turns_B, imaginary_B / gain_B, 0.0)
    return torch.stack([cosine_B, -sine_B, sine_B, cosine_B], -1).reshape(-1, 2, 2), gain_B


def _turn_3d(covariance_BDD: Tensor) -> tuple[Tensor, Tensor]:
    """Find the rotations in closed form (Markley 1993), by SVD where that is ill-conditioned."""
    square_B = covariance_BDD.square().sum((-2, -1))
    unit_BDD = covariance_BDD / square_B.where(square_B > 0, 1.0).sqrt()[:, None, None]
    rows_BD = unit_BDD.unbind(-2)
    cofactor_BDD = torch.stack(
        [torch.linalg.cross(rows_BD[i - 2], rows_BD[i - 1]) for i in range(3)], -2
    )
    det_B = (cofactor_BDD[:, 0] * rows_BD[0]).sum(-1)
    gain_B = _largest_gain(det_B, cofactor_BDD.square().sum((-2, -1)))
    half_B = (gain_B.square() - 1.0) / 2
    # (s1 + s2) (s2 + s3) (s3 + s1) of the singular values: zero where no rotation is the best.
    firmness_B = half_B * gain_B - det_B
    weight_B = torch.where(firmness_B > _FIRM, firmness_B, 1.0)[:, None, None]
    cubed_BDD = unit_BDD @ (unit_BDD.mT @ unit_BDD)
    rotation_BDD = (
        (half_B + 1.0)[:, None, None] * unit_BDD + gain_B[:, None, None] * cofactor_BDD - cubed_BDD
    ) / weight_B
    loose_B = ~(firmness_B > _FIRM)
    if loose_B.any():
        rotation_BDD[loose_B], gain_B[loose_B] = _turn_by_svd(unit_BDD[loose_B])
    return rotation_BDD, gain_B * square_B.sqrt()


def _largest_gain(det_B: Tensor, cofactors_B: Tensor) -> Tensor:
    """Newton's method from above on the quartic whose largest root is s1 + s2 + s3 (signed)."""
    gain_B = torch.full_like(det_B, 3.0**0.5)
    for _ in range(_NEWTON_STEPS):
        excess_B = gain_B.square() - 1.0
        value_B = excess_B.square() - 8 * det_B * gain_B - 4 * cofactors_B
        slope_B = 4 * (excess_B * gain_B - 2 * det_B)
        step_B = value_B / slope_B.clamp(min=_FIRM)
        gain_B = gain_B - step_B
        if (step_B.abs() < _SETTLED).all():
            break
    return gain_B


def _turn_by_svd(covariance_BDD: Tensor) -> tuple[Tensor, Tensor]:
    left_BDD, singular_BD, right_BDD = torch.linalg.svd(covariance_BDD)
    signs_BD = torch.ones_like(singular_BD)
    signs_BD[:, -1] = torch.where(torch.linalg.det(left_BDD @ right_BDD) < 0, -1.0, 1.0)
    return (left_BDD * signs_BD[:, None]) @ right_BDD, (singular_BD * signs_BD).sum(-1)


def _tensor(points: Points) -> Tensor:
    tensor = torch.as_tensor(points)
    return tensor if tensor.is_floating_point() else tensor.to(torch.float32)


def _check(source_BPD: Tensor, target_BPD: Tensor) -> None:
    shape = tuple(source_BPD.shape)
    if source_BPD.dim() != 3 or shape[-1] not in (2, 3) or shape[1] == 0:
        raise VectorError(f"points must be (sets, points, 2 or 3), got {shape}")
    fits = target_BPD.shape[-2:] == source_BPD.shape[-2:]
    one_or_each = target_BPD.dim() == 2 or target_BPD.shape[:-2] in ((1,), source_BPD.shape[:1])
    if not (fits and one_or_each):
        raise VectorError(f"target {tuple(target_BPD.shape)} does not match points {shape}")
    for name, points in (("source", source_BPD), ("target", target_BPD)):
        # A sum is finite only where all are; a large finite one is looked at more closely.
        if not (torch.isfinite(points.sum()) or torch.isfinite(points).all()):
            raise VectorError(f"{name} points hold NaN or infinity: fill gaps before aligning")
