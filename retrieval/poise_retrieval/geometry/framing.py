"""Move stored windows into the coordinates of their queries.

Shape letters: B windows, T frames of a window, C = J * D values of a frame.
"""

import torch
from torch import Tensor

from poise_retrieval.errors import VectorError
from poise_retrieval.geometry.align import Points, align
from poise_retrieval.geometry.skeletons import DIMS


def bring_into_frame(windows_BTC: Points, queries_BTC: Points, representation: str) -> Tensor:
    """Give stored windows the place, size and direction of their queries.

    Each window is moved by one similarity over all T x J points, which keeps its own motion. SMPL
    rotations have neither place nor size and are returned as they are.

    Args:
        windows_BTC: (B, T, C) windows that a search found.
        queries_BTC: (B, T, C) windows it searched for.
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
