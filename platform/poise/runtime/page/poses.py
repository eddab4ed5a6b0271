"""Poses as the scripts of pages take them. Shape letters: F frames, J joints, D dimensions."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_DIGITS: Final = 5
#: Of the frames so many may be off the picture at each side.
_FAR_OFF: Final = 0.005


def upright(poses_FJD: Floats, up: str) -> tuple[Floats, list[int], list[int]]:
    """Bring the axis that points up to the second place, growing upwards.

    Args:
        poses_FJD: of one person.
        up: the axis with its sign, such as ``-y`` in images.

    Returns:
        The poses, the sign and the place before of each dimension.
    """
    dims = poses_FJD.shape[-1]
    if dims == 1:
        return np.concatenate([np.zeros_like(poses_FJD), poses_FJD], -1), [1, 1], [0, 0]
    axis, sign = "xyz".index(up[1]), 1 if up[0] == "+" else -1
    others = [one for one in range(dims) if one != axis]
    order = [others[0], axis, *others[1:]]
    signs = [1, sign, *[1] * (dims - 2)]
    return poses_FJD[..., order] * np.array(signs), signs, order


def places(poses_FJD: Floats) -> list[list[list[float] | None]]:
    """Return plain numbers, None for a joint that has no place."""
    known_FJ = _known(poses_FJD)
    return [
        [place if known else None for place, known in zip(pose, row, strict=True)]
        for pose, row in zip(rounded(poses_FJD), known_FJ.tolist(), strict=True)
    ]


def box(poses_FJD: Floats) -> list[list[float]]:
    """Return where whole bodies are: lowest and highest of each dimension.

    A few frames in which something is far off do not count.
    """
    known_FJ = _known(poses_FJD)
    shown_FJD = poses_FJD[known_FJ.any(axis=1)]
    low_D = np.quantile(np.nanmin(shown_FJD, 1), _FAR_OFF, axis=0)
    high_D = np.quantile(np.nanmax(shown_FJD, 1), 1 - _FAR_OFF, axis=0)
    return [low_D.tolist(), high_D.tolist()]


def rounded(values: Floats) -> Any:
    """Return plain numbers of some digits, None where there is none."""
    known = np.abs(values[~np.isnan(values)])
    scale = float(known.max()) if known.size and known.max() > 0 else 1.0
    digits = _DIGITS - 1 - int(np.floor(np.log10(scale)))
    found = np.round(values, digits)
    if digits <= 0:
        found = np.round(values)
    plain = found.astype(object)
    plain[np.isnan(found)] = None
    return plain.tolist()


def _known(poses_FJD: Floats) -> NDArray[np.bool_]:
    known_FJ: NDArray[np.bool_] = np.asarray(~np.isnan(poses_FJD).any(axis=-1))
    return known_FJ
