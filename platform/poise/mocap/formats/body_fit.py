"""Rotations of an SMPL body fitted to joints that have moved: the way back from joints to a pose.

Each bone is turned the shortest way from where it was to where its end is now; a joint that
several bones leave takes the rotation that fits all of them best. What joints do not show stays as
it was: how a bone turns about itself, and how heads, hands and feet are turned. Bones keep the
body's lengths.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from poise.mocap.formats.body_model import Body

Floats = NDArray[np.float64]
#: How much a joint's own rotation counts beside where its bones point.
_PRIOR: Final = 1e-6
#: Radians: a joint that is turned by less is not turned.
_STILL: Final = 1e-9
_TURN: Final = 2 * np.pi
#: No radians or metres of a body are more.
_MOST: Final = 1e6


def fitted(
    body: Body, pose_FJ3: Floats, betas: Floats, trans_F3: Floats, target_FJ3: Floats
) -> tuple[Floats, Floats]:
    """Return pose and place of a body whose joints are nearest to where they are said to be.

    Args:
        body: the model.
        pose_FJ3: axis-angles before, (F, 24, 3).
        betas: shape coefficients.
        trans_F3: the place before, metres.
        target_FJ3: where the 24 joints are now; NaN where nobody knows: there all stays as it was.

    Returns:
        Axis-angles (F, 24, 3), and the place (F, 3). Joints that are where they were keep their
        numbers.
    """
    # Damaged files say anything; of turns and ways without measure nothing is computed.
    sane_F = (np.abs(pose_FJ3) < _MOST).all((1, 2)) & (np.abs(trans_F3) < _MOST).all(1)
    found_FJ3, found_F3 = pose_FJ3.copy(), trans_F3.copy()
    if sane_F.any() and (np.abs(body.at_rest(betas)) < _MOST).all():
        found_FJ3[sane_F], found_F3[sane_F] = _fitted(
            body, pose_FJ3[sane_F], betas, trans_F3[sane_F], target_FJ3[sane_F]
        )
    return found_FJ3, found_F3


def _fitted(
    body: Body, pose_FJ3: Floats, betas: Floats, trans_F3: Floats, target_FJ3: Floats
) -> tuple[Floats, Floats]:
    rest_J3, parents = body.at_rest(betas), body.parents
    old = body.turned(pose_FJ3)
    new: list[Floats] = []
    moved_F3 = target_FJ3[:, 0] - (trans_F3 + rest_J3[0])
    place_F3 = trans_F3 + np.where(np.isnan(moved_F3), 0.0, moved_F3)
    places: list[Floats] = []
    for joint, parent in enumerate(parents):
        step_F3 = new[parent] @ (rest_J3[joint] - rest_J3[parent]) if joint else rest_J3[0]
        places.append((places[parent] if joint else place_F3) + step_F3)
        turn_F33 = np.eye(3)[None] if not joint else new[parent] @ old[parent].swapaxes(1, 2)
        carried_F33 = turn_F33 @ old[joint]
        ends = [child for child, above in enumerate(parents) if above == joint]
        bones = [
            (
                carried_F33 @ (rest_J3[child] - rest_J3[joint]),
                target_FJ3[:, child] - places[joint],
            )
            for child in ends
        ]
        new.append(_turned(bones, len(pose_FJ3)) @ carried_F33 if bones else carried_F33)
    return _vectors(body, pose_FJ3, new), place_F3


def _turned(bones: list[tuple[Floats, Floats]], frames: int) -> Floats:
    """Return the rotations, (F, 3, 3), that bring bones nearest to where they should point."""
    sums_F33 = np.broadcast_to(_PRIOR * np.eye(3), (frames, 3, 3)).copy()
    for from_F3, to_F3 in bones:
        near_F1 = (np.abs(to_F3) < _MOST).all(1, keepdims=True)
        known_F3 = np.where(near_F1, to_F3, from_F3)
        lengths_F = np.linalg.norm(from_F3, axis=1) * np.linalg.norm(known_F3, axis=1)
        share_F = np.where(lengths_F > 0, 1.0 / np.where(lengths_F > 0, lengths_F, 1.0), 0.0)
        sums_F33 += share_F[:, None, None] * known_F3[:, :, None] * from_F3[:, None]
    left_F33, _, right_F33 = np.linalg.svd(sums_F33)
    mirrored_F = np.linalg.det(left_F33 @ right_F33) < 0
    left_F33[mirrored_F, :, 2] *= -1
    return np.asarray(left_F33 @ right_F33, np.float64)


def _vectors(body: Body, pose_FJ3: Floats, world: list[Floats]) -> Floats:
    """Return axis-angles of rotations in the world; those that are as before keep their numbers."""
    found_FJ3 = pose_FJ3.copy()
    for joint, parent in enumerate(body.parents):
        above_F33 = world[parent].swapaxes(1, 2) if joint else np.eye(3)[None]
        turned = Rotation.from_matrix(above_F33 @ world[joint])
        before = Rotation.from_rotvec(pose_FJ3[:, joint])
        changed_F = (turned * before.inv()).magnitude() > _STILL
        near_F3 = _nearest(turned.as_rotvec(), pose_FJ3[:, joint])
        found_FJ3[changed_F, joint] = near_F3[changed_F]
    return found_FJ3


def _nearest(vectors_F3: Floats, before_F3: Floats) -> Floats:
    """Spell each rotation by the vector nearest to the one before: they turn on over 180 degrees.

    A rotation by a is one by a - 360 degrees, too.
    """
    angle_F1 = np.linalg.norm(vectors_F3, axis=1, keepdims=True)
    axis_F3 = vectors_F3 / np.where(angle_F1 > 0, angle_F1, 1.0)
    along_F1 = (axis_F3 * before_F3).sum(1, keepdims=True)
    spelt_F3: Floats = vectors_F3 + axis_F3 * _TURN * np.round((along_F1 - angle_F1) / _TURN)
    return spelt_F3
