"""Joints stay where their file has them in the body: nobody without truth knows better.

A network that has learnt where joints of bodies are moves a marker on the forehead to the top of
the head. That is no error of the file but another definition, and a constant. It is put back; what
the network takes off beside it is what comes and goes.

Shape letters: G points, J joints, D dimensions.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from poise.refining.grid import Floats, blocks

#: What tells which way a body faces.
_HIPS: Final = ("left_hip", "right_hip")
_SHOULDERS: Final = ("left_shoulder", "right_shoulder")


def put_back(refined_GJD: Floats, given_GJD: Floats, joints: Sequence[str]) -> Floats:
    """Return refined poses whose joints are, at the median of all points, where they were given.

    The median is of the way from refined to given in the body's own axes, so a person may turn; in
    the axes of the file where the joints do not tell the body's, and in images.

    Args:
        refined_GJD: what a network made of the given poses.
        given_GJD: NaN where a joint was not seen.
        joints: their plain names.
    """
    axes_GDD = _axes(refined_GJD, joints)
    found_GJD = np.empty_like(refined_GJD)  # the ways, and then the poses
    for part in blocks(len(refined_GJD)):
        way_BJD = given_GJD[part] - refined_GJD[part]
        found_GJD[part] = np.einsum("gad,gjd->gja", axes_GDD[part], way_BJD)
    usual_JD = np.zeros(refined_GJD.shape[1:])
    for joint in np.flatnonzero(~np.isnan(found_GJD).any(-1).all(0)):
        usual_JD[joint] = np.nanmedian(found_GJD[:, joint], axis=0)
    for part in blocks(len(refined_GJD)):
        back_BJD = np.einsum("gad,ja->gjd", axes_GDD[part], usual_JD)
        found_GJD[part] = refined_GJD[part] + back_BJD
    return found_GJD


def _axes(poses_GJD: Floats, joints: Sequence[str]) -> Floats:
    """Right, up and ahead of a body as rows, (G, D, D); those of the file where nothing tells."""
    points, _, dims = poses_GJD.shape
    place = {name: number for number, name in enumerate(joints)}
    straight_GDD = np.broadcast_to(np.eye(dims), (points, dims, dims))
    if dims != 3 or not {*_HIPS, *_SHOULDERS} <= place.keys():
        return straight_GDD
    left_hip, right_hip, left_shoulder, right_shoulder = (
        poses_GJD[:, place[name]] for name in (*_HIPS, *_SHOULDERS)
    )
    up_GD = _unit(left_shoulder + right_shoulder - left_hip - right_hip)
    across_GD = right_shoulder - left_shoulder + right_hip - left_hip
    right_GD = _unit(across_GD - (across_GD * up_GD).sum(-1, keepdims=True) * up_GD)
    axes_GDD = np.stack([right_GD, up_GD, np.cross(right_GD, up_GD)], axis=1)
    return np.where(np.isfinite(axes_GDD).all((1, 2), keepdims=True), axes_GDD, straight_GDD)


def _unit(ways_GD: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        unit_GD: Floats = ways_GD / np.linalg.norm(ways_GD, axis=-1, keepdims=True)
    return unit_GD
