"""The discrete cosine transform over the frames of a window, as matrices."""

import torch
from torch import Tensor


def dct_matrix(length: int) -> Tensor:
    """The unnormalised DCT-II as a (T, T) matrix: row k is 2 cos(pi k (2 n + 1) / 2 T)."""
    n = torch.arange(length, dtype=torch.float64)
    k = n[:, None]
    angle = torch.pi * k * (2 * n + 1) / (2 * length)
    return (2 * angle.cos()).float()


def low_pass_matrix(length: int, coefficients: int) -> Tensor:
    """Projection (T, T) onto the first DCT coefficients of a window.

    Multiplied with a window it is the DCT, all but the first coefficients set to zero, and the
    way back.
    """
    basis = dct_matrix(length).double()[:coefficients]
    basis = basis / basis.norm(dim=1, keepdim=True)
    projection: Tensor = basis.T @ basis
    return projection.float()
