"""From a window of poses to the vector that the Pose Vector Database stores and searches.

Shape letters: B windows, T frames of a window, K key frames, J joints, D dims, C = J * D,
E numbers of a vector.
"""

from typing import Final

import torch
from torch import Tensor

from poise_retrieval.errors import SkeletonError, VectorError
from poise_retrieval.geometry.align import Points, align
from poise_retrieval.geometry.skeletons import (
    DIMS,
    PVD_JOINTS,
    SMPL_JOINTS,
    TEMPLATE_2D,
    TEMPLATE_3D,
    Skeleton,
    skeleton,
)

JointOrder = Skeleton | str | None

#: Raise it with every change after which a window gets another vector (key frames, joint maps,
#: templates, alignment, order): stored vectors and new queries are then no longer compared.
EMBEDDING_VERSION: Final = 1

_SMPL_WIDTH: Final = len(SMPL_JOINTS) * DIMS["smpl"]
_TEMPLATES: Final = {2: TEMPLATE_2D, 3: TEMPLATE_3D}
#: The temporaries of one step stay in a core's own cache.
_CHUNK: Final = 4096


def key_frames(length: int) -> tuple[int, ...]:
    """Return the frames of a window that its vector describes: 0, 7, 15, 23 and so on.

    Of a window of fewer than 8 frames they are the first and the last.
    """
    if length < 8:
        return (0,) if length == 1 else (0, length - 1)
    return (0, *range(7, length, 8))


def embedding_width(length: int, joint_order: JointOrder, dims: int) -> int:
    """Count the numbers of a vector: 84 for 3D windows of 8 frames.

    Args:
        length: T, frames of a window.
        joint_order: skeleton of 2D and 3D poses, or its name; None for SMPL.
        dims: 2, 3, or 6 (SMPL, 6D rotations).

    Raises:
        SkeletonError: 2D or 3D without a known skeleton, or another number of dims.
    """
    return len(key_frames(length)) * _pose_width(joint_order, dims)


def embed(windows_BTC: Points, joint_order: JointOrder, representation: str) -> Tensor:
    """Turn windows into vectors that do not depend on a body's place, size and direction.

    2D and 3D: each key frame's 14 template joints, moved onto the template by its own similarity.
    SMPL: the key frames' 6D rotations halved, not aligned.

    Args:
        windows_BTC: (B, T, C) tensor or array, any length unit.
        joint_order: skeleton of 2D and 3D poses, or its name; None for SMPL.
        representation: ``"2D"``, ``"3D"`` or ``"smpl"``.

    Returns:
        (B, E) float32 on the windows' device. Squared distances between them are what the
        database calls distance.

    Raises:
        SkeletonError: no such skeleton, or windows of another width.
        VectorError: windows hold NaN or infinity.
    """
    if windows_BTC.ndim != 3:
        raise VectorError(f"windows must be (B, T, C), got {tuple(windows_BTC.shape)}")
    dims = _dims(representation)
    count, length, width = windows_BTC.shape
    _check_width(width, joint_order, dims)
    frames = list(key_frames(length))
    device = windows_BTC.device if isinstance(windows_BTC, Tensor) else "cpu"
    vectors_BE = torch.empty(count, embedding_width(length, joint_order, dims), device=device)
    for start in range(0, count, _CHUNK):
        keys_BKC = torch.as_tensor(windows_BTC[start : start + _CHUNK, frames])
        _check_finite(keys_BKC, start)
        vectors_BE[start : start + _CHUNK] = _embed_keys(keys_BKC, joint_order, dims)
    return vectors_BE


def _embed_keys(keys_BKC: Tensor, joint_order: JointOrder, dims: int) -> Tensor:
    if joint_order is None:
        return keys_BKC.flatten(1) / 2
    aligned = align(_template_joints(keys_BKC, joint_order, dims), torch.tensor(_TEMPLATES[dims]))
    return aligned.reshape(keys_BKC.shape[0], -1)


def _template_joints(keys_BKC: Tensor, joint_order: Skeleton | str, dims: int) -> Tensor:
    joints = torch.tensor(skeleton(joint_order).pvd_joints)
    columns = (joints[:, None] * dims + torch.arange(dims)).flatten()
    # A product with zeros and ones picks the same numbers in a quarter of the time of indexing.
    picks_CC = torch.zeros(keys_BKC.shape[-1], len(columns)).to(keys_BKC)
    picks_CC[columns, torch.arange(len(columns))] = 1.0
    return (keys_BKC.flatten(0, 1) @ picks_CC).reshape(-1, len(joints), dims)


def _dims(representation: str) -> int:
    try:
        return DIMS[representation]
    except KeyError:
        known = ", ".join(DIMS)
        raise VectorError(f"representation {representation!r} is none of {known}") from None


def _pose_width(joint_order: JointOrder, dims: int) -> int:
    if dims == 6 and joint_order is None:
        return _SMPL_WIDTH
    if dims not in _TEMPLATES or joint_order is None:
        raise SkeletonError(
            f"poses of {dims} dims with skeleton {_called(joint_order)} have no vector: "
            "2D and 3D need a skeleton, SMPL (6 dims) takes none"
        )
    _ = skeleton(joint_order)
    return PVD_JOINTS * dims


def _check_width(width: int, joint_order: JointOrder, dims: int) -> None:
    expected = _pose_width(joint_order, dims)
    if joint_order is not None:
        expected = len(skeleton(joint_order).joints) * dims
    if width != expected:
        raise SkeletonError(
            f"windows are {width} wide; {_called(joint_order)} with {dims} dims needs {expected}"
        )


def _called(joint_order: JointOrder) -> str:
    if joint_order is None:
        return "none (SMPL)"
    return joint_order if isinstance(joint_order, str) else joint_order.name


def _check_finite(keys_BKC: Tensor, start: int) -> None:
    if torch.isfinite(keys_BKC.sum()):
        return
    bad_B = ~torch.isfinite(keys_BKC).flatten(1).all(1)
    if bad_B.any():
        first = start + int(bad_B.nonzero()[0])
        raise VectorError(f"window {first} holds NaN or infinity: fill gaps before embedding")
