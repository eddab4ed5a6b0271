"""Similarity alignment of point sets (Umeyama 1991): scale, proper rotation, translation.

Shape letters: B point sets, P points of a set, D = 2 or 3 dims.
"""

from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from poise_retrieval.errors import VectorError

Points = Tensor | NDArray[Any]


@dataclass(frozen=True)
class Similarity:
    """One similarity per point set: ``x -> scale * rotation @ x + translation``."""

    scale_B: Tensor
    rotation_BDD: Tensor
    translation_BD: Tensor

    def apply(self, points_BPD: Points) -> Tensor:
        """Move points (B, P, D); P need not be that of the sets the similarity was fitted to."""
        points_BPD = _tensor(points_BPD).to(self.rotation_BDD)
        turned_BPD = points_BPD @ self.rotation_BDD.mT
        return self.scale_B[:, None, None] * turned_BPD + self.translation_BD[:, None]


def similarity(source_BPD: Points, target_BPD: Points) -> Similarity:
    """Fit the similarities that bring each source set closest to its target, in least squares.

    Rotations are proper: where a mirror image would fit better, the best rotation is returned all
    the same. A source without extent (all points equal) keeps scale 1 and moves onto the target's
    centre. Computed in the source's precision, on its device.

    Args:
        source_BPD: (B, P, D) tensor or array.
        target_BPD: (B, P, D), or one target for all: (P, D) or (1, P, D).

    Returns:
        B similarities.

    Raises:
        VectorError: shapes do not match, or a coordinate is not finite.
    """
    source_BPD = _tensor(source_BPD)
    target_BPD = _tensor(target_BPD).to(source_BPD)
    _check(source_BPD, target_BPD)
    source_mean_B1D = source_BPD.mean(-2, keepdim=True)
    target_mean_B1D = target_BPD.mean(-2, keepdim=True)
    centred_BPD = source_BPD - source_mean_B1D
    covariance_BDD = (target_BPD - target_mean_B1D).mT @ centred_BPD
    left_BDD, singular_BD, right_BDD = torch.linalg.svd(covariance_BDD)
    flip_B = torch.where(torch.linalg.det(left_BDD @ right_BDD) < 0, -1.0, 1.0).to(source_BPD)
    signs_BD = torch.ones_like(singular_BD)
    signs_BD[:, -1] = flip_B
    rotation_BDD = (left_BDD * signs_BD[:, None]) @ right_BDD
    spread_B = centred_BPD.square().sum((-2, -1))
    has_extent_B = spread_B > torch.finfo(source_BPD.dtype).tiny
    ratio_B = (singular_BD * signs_BD).sum(-1) / spread_B.where(has_extent_B, 1.0)
    scale_B = ratio_B.where(has_extent_B, 1.0)
    turned_BD = (rotation_BDD @ source_mean_B1D.mT).squeeze(-1)
    translation_BD = target_mean_B1D.squeeze(-2) - scale_B[:, None] * turned_BD
    return Similarity(scale_B, rotation_BDD, translation_BD)


def align(source_BPD: Points, target_BPD: Points) -> Tensor:
    """Move every source set onto its target by the best similarity; see `similarity`.

    Returns:
        (B, P, D), in the source's precision.
    """
    return similarity(source_BPD, target_BPD).apply(source_BPD)


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
        if not torch.isfinite(points).all():
            raise VectorError(f"{name} points hold NaN or infinity: fill gaps before aligning")
