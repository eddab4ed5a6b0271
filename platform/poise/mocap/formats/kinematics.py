"""Forward kinematics over all frames of a take at once."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

Floats = NDArray[np.float64]


def rotations(angles_FK: Floats, axes: str) -> Floats:
    """Return rotation matrices of Euler angles, (F, 3, 3).

    Args:
        angles_FK: degrees, one column for each letter of ``axes``; NaN makes a matrix of NaN.
        axes: up to three different letters; upper case (``ZYX``) multiplies in the order written
            (Rz Ry Rx), lower case (``xyz``) the other way round (Rz Ry Rx). None: identity.
    """
    if not axes:
        return np.broadcast_to(np.eye(3), (len(angles_FK), 3, 3))
    unknown_F: NDArray[np.bool_] = np.logical_or.reduce(np.isnan(angles_FK), axis=1)
    known_FK = np.where(unknown_F[:, None], 0.0, angles_FK)
    turns_F33 = np.asarray(Rotation.from_euler(axes, known_FK, degrees=True).as_matrix())
    turns_F33[unknown_F] = np.nan
    return turns_F33


def chain_rotations(parents: Sequence[int], local_JF33: Sequence[Floats]) -> list[Floats]:
    """Return every joint's rotation in the world, from those in its parent's frame.

    ``parents[j] < j``; the root's parent is -1.
    """
    world: list[Floats] = []
    for parent, local_F33 in zip(parents, local_JF33, strict=True):
        world.append(local_F33 if parent < 0 else world[parent] @ local_F33)
    return world


def chain_positions(
    parents: Sequence[int], root_F3: Floats, steps_JF3: Sequence[Floats]
) -> NDArray[np.float64]:
    """Return positions in the world, (F, J, 3): each joint's parent plus its own step."""
    places: list[Floats] = []
    for parent, step_F3 in zip(parents, steps_JF3, strict=True):
        places.append(root_F3 + step_F3 if parent < 0 else places[parent] + step_F3)
    return np.stack(places, axis=1)
