"""A 17-joint body (order ``h36m17``): proportions of a person, and forward kinematics.

Metres, y up, the body faces +z, its left is +x.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from poise_retrieval.geometry.skeletons import SKELETONS

JOINTS: Final = SKELETONS["h36m17"].joints
PARENTS: Final = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15)

_REST: Final = np.array(
    [
        [0.00, 0.00, 0.00],  # pelvis
        [-0.13, 0.00, 0.00],  # right_hip
        [0.00, -0.44, 0.01],  # right_knee
        [0.00, -0.43, -0.02],  # right_ankle
        [0.13, 0.00, 0.00],  # left_hip
        [0.00, -0.44, 0.01],  # left_knee
        [0.00, -0.43, -0.02],  # left_ankle
        [0.00, 0.24, -0.01],  # spine
        [0.00, 0.25, -0.01],  # thorax
        [0.00, 0.11, 0.04],  # neck
        [0.00, 0.12, 0.01],  # head
        [0.15, -0.03, 0.00],  # left_shoulder
        [0.02, -0.28, 0.00],  # left_elbow
        [0.00, -0.25, 0.01],  # left_wrist
        [-0.15, -0.03, 0.00],  # right_shoulder
        [-0.02, -0.28, 0.00],  # right_elbow
        [0.00, -0.25, 0.01],  # right_wrist
    ]
)
_SEGMENTS: Final = {
    "pelvis": (1, 4),
    "thigh": (2, 5),
    "shank": (3, 6),
    "trunk": (7, 8),
    "head": (9, 10),
    "shoulder": (11, 14),
    "arm": (12, 15),
    "forearm": (13, 16),
}


def proportions(draw: np.random.Generator) -> NDArray[np.float64]:
    """Draw one person: stature varies by 6 %, each kind of segment by 5 % more, sides alike.

    Returns:
        (J, 3) offset of every joint from its parent at rest, metres.
    """
    bones_J3 = _REST * (1.0 + 0.06 * draw.standard_normal())
    for joints in _SEGMENTS.values():
        bones_J3[list(joints)] *= 1.0 + 0.05 * draw.standard_normal()
    return bones_J3


def forward_kinematics(
    rotations_FJ33: NDArray[np.float64], bones_J3: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Place the joints of all frames, root at zero.

    Args:
        rotations_FJ33: rotation of each joint in its parent's frame; the root's is the body's.
        bones_J3: see `proportions`.

    Returns:
        (F, J, 3) metres.
    """
    places_FJ3 = np.zeros((*rotations_FJ33.shape[:2], 3))
    world_FJ33 = rotations_FJ33.copy()
    for joint, parent in enumerate(PARENTS[1:], start=1):
        turned_F3 = world_FJ33[:, parent] @ bones_J3[joint]
        places_FJ3[:, joint] = places_FJ3[:, parent] + turned_F3
        world_FJ33[:, joint] = world_FJ33[:, parent] @ rotations_FJ33[:, joint]
    return places_FJ3
