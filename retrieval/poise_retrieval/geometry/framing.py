"""From a hit to what a network may look at: the stored window in the frame of the query.

Shape letters: B windows, T frames of a window, C = J * D values of a frame.
"""

import torch
from torch import Tensor

from poise_retrieval.errors import VectorError
from poise_retrieval.geometry.align import Points, align
from poise_retrieval.geometry.skeletons import DIMS


def bring_into_frame(windows_BTC: Points, queries_BTC: Points, representation: str) -> Tensor:
    """Move stored windows to where their queries are, as large, and turned like them.

    One similarity a window over all T x J points, so that its own motion stays as it was. SMPL
    rotations say nothing of place and size, and stay as they are.

    Args:
        windows_BTC: (B, T, C) windows the search found, as they were captured.
        queries_BTC: (B, T, C) windows it was asked with.
        representation: ``"2D"``, ``"3D"`` or ``"smpl"``.

    Returns:
        (B, T, C), in the precision and on the device of the stored windows.

    Raises:
        VectorError: shapes differ, no such representation, or NaN.
    """
    windows_BTC = torch.as_tensor(windows_BTC)
    shape = tuple(windows_BTC.shape)
    if len(shape) != 3 or shape != tuple(queries_BTC.shape):
        raise VectorError(f"windows {shape} and queries {tuple(queries_BTC.shape)} must be alike")
    if representation == "smpl":
        return windows_BTC
    dims = DIMS.get(representation)
    if dims is None or shape[-1] % dims:
        raise VectorError(f"windows {shape} are not of representation {representation!r}")
    points = (shape[0], shape[1] * shape[2] // dims, dims)
    return align(windows_BTC.reshape(points), queries_BTC.reshape(points)).reshape(shape)
