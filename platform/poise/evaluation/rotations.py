"""Errors of rotations: what can be said of SMPL poses without a body.

Shape letters: F frames, J joints.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import normalize

#: Below this sine the axis of a rotation is lost to rounding; its angle is not.
_NO_AXIS = 1e-9


def matrices(poses_FC: Tensor) -> Tensor:
    """Turn 6D rotations into matrices by Gram and Schmidt's process.

    Args:
        poses_FC: (F, J x 6), each joint's first two columns row by row: r00 r01 r10 r11 r20 r21.

    Returns:
        (F, J, 3, 3) of the same type; rotations wherever the two columns are independent.
    """
    columns_FJ32 = poses_FC.reshape(len(poses_FC), -1, 3, 2)
    first_FJ3 = normalize(columns_FJ32[..., 0], dim=-1)
    second_FJ3 = columns_FJ32[..., 1]
    along_FJ1 = (first_FJ3 * second_FJ3).sum(-1, keepdim=True)
    second_FJ3 = normalize(second_FJ3 - along_FJ1 * first_FJ3, dim=-1)
    third_FJ3 = torch.linalg.cross(first_FJ3, second_FJ3)
    return torch.stack([first_FJ3, second_FJ3, third_FJ3], dim=-1)


def angle_errors(refined_FJ33: Tensor, truth_FJ33: Tensor) -> Tensor:
    """Return the angle between refined and true rotations, (F, J) degrees."""
    angle_FJ: Tensor = _vectors(truth_FJ33.mT @ refined_FJ33).norm(dim=-1)
    return angle_FJ


def acceleration_errors(refined_FJ33: Tensor, truth_FJ33: Tensor) -> Tensor:
    """Return how far angular accelerations are apart, (F - 2, J) degrees per frame^2."""
    difference_FJ3 = _velocities(refined_FJ33) - _velocities(truth_FJ33)
    bend_FJ: Tensor = difference_FJ3.diff(dim=0).norm(dim=-1)
    return bend_FJ


def _velocities(rotation_FJ33: Tensor) -> Tensor:
    # From frame to frame, in the joint's own axes: a few degrees, far from the half turn.
    return _vectors(rotation_FJ33[:-1].mT @ rotation_FJ33[1:])


def _vectors(rotation_FJ33: Tensor) -> Tensor:
    """Axis times angle in degrees, (F, J, 3)."""
    skew_FJ33 = rotation_FJ33 - rotation_FJ33.mT
    axis_FJ3 = torch.stack(
        [skew_FJ33[..., 2, 1], skew_FJ33[..., 0, 2], skew_FJ33[..., 1, 0]], dim=-1
    )
    twice_sine_FJ = axis_FJ3.norm(dim=-1)
    twice_cosine_FJ = rotation_FJ33.diagonal(dim1=-2, dim2=-1).sum(-1) - 1
    angle_FJ = torch.atan2(twice_sine_FJ, twice_cosine_FJ)
    lost_FJ = twice_sine_FJ < _NO_AXIS
    some_axis_3 = axis_FJ3.new_tensor([1.0, 0.0, 0.0])
    unit_FJ3 = torch.where(
        lost_FJ[..., None], some_axis_3, axis_FJ3 / twice_sine_FJ.clamp(min=_NO_AXIS)[..., None]
    )
    return unit_FJ3 * angle_FJ[..., None] * (180 / math.pi)
