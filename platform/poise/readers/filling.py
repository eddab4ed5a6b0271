"""Numbers where nobody saw a joint: along time, by the form of a body, between rotations.

Shape letters: F frames, J joints, D dimensions, C = J*D channels, P joints of the pose template.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation, Slerp

from poise.catalog.tracks import TrackInfo
from poise.readers.missing import Bools, never_seen
from poise_retrieval.geometry.align import similarity
from poise_retrieval.geometry.skeletons import DIMS, TEMPLATE_2D, TEMPLATE_3D, Skeleton

Poses = NDArray[np.float32]

#: Fewer joints say neither where a body is nor how it is turned.
FEWEST = 3
#: Place on the template that each of its joints hangs on; None where the body itself is placed.
_PARENTS = (1, 2, None, None, 3, 4, 7, 8, 12, 12, 9, 10, None, 12)
#: From the middle of the body outwards.
_ORDER = (2, 3, 12, 1, 4, 8, 9, 13, 0, 5, 7, 10, 6, 11)


def too_little(unseen_FJ: Bools, info: TrackInfo) -> str:
    """Say why there is nothing to fill from; nothing where there is."""
    seen = int((~never_seen(unseen_FJ)).sum())
    needed = 1 if info.dims == DIMS["smpl"] else min(FEWEST, info.joints)
    if seen >= needed:
        return ""
    what = "rotations" if info.dims == DIMS["smpl"] else "joints"
    many = f"{seen} of {info.joints} {what} seen" if seen else f"no {what[:-1]} seen"
    return (
        f"{many} in any of the {len(unseen_FJ)} frames (the others are null, NaN, zeros or "
        f"confidence 0): nothing to fill from, it takes {needed}"
    )


def whole(poses_FC: Poses, info: TrackInfo) -> tuple[Poses, Bools | None]:
    """Put numbers where poses are NaN.

    A joint that some frames show goes along time between them, rotations along the shortest turn.
    One that no frame shows is put where a body has it: by the pose template, laid on the joints
    that are there, or between its neighbours; a rotation is the rest pose's.

    Args:
        poses_FC: (F, C), not `too_little` of them seen.
        info: the joints.

    Returns:
        (F, C) without NaN, and the joints that were filled, (F, J); None where all were seen.
    """
    lost_FJD = ~np.isfinite(poses_FC).reshape(len(poses_FC), info.joints, info.dims)
    if not lost_FJD.any():
        return poses_FC, None
    unseen_FJ: Bools = np.logical_or.reduce(lost_FJD, axis=-1)
    if info.dims == DIMS["smpl"]:
        return _rotations(poses_FC, unseen_FJ), unseen_FJ
    # Here and not above: torch takes seconds.
    import torch

    from poise_models.filters.gaps import filled

    gaps_FJD = np.where(unseen_FJ[..., None], np.float32(np.nan), poses_FC.reshape(lost_FJD.shape))
    joints_FJD = filled(torch.from_numpy(gaps_FJD.reshape(poses_FC.shape))).numpy()
    joints_FJD = joints_FJD.reshape(lost_FJD.shape)
    never_J = never_seen(unseen_FJ)
    if never_J.any():
        joints_FJD = _embodied(joints_FJD.copy(), never_J, info.skeleton)
    return joints_FJD.reshape(poses_FC.shape), unseen_FJ


def _embodied(joints_FJD: Poses, never_J: Bools, skeleton: Skeleton | None) -> Poses:
    """Put joints that no frame shows where the body is likely to have them."""
    there_J = ~never_J
    if skeleton is not None:
        _by_template(joints_FJD, there_J, skeleton.pvd_joints)
        _between_neighbours(joints_FJD, there_J, skeleton.edges)
    middle_F1D = joints_FJD[:, there_J].mean(axis=1, keepdims=True)
    joints_FJD[:, ~there_J] = middle_F1D
    return joints_FJD


def _by_template(joints_FJD: Poses, there_J: Bools, places: tuple[int, ...]) -> None:
    shown_P = there_J[list(places)]
    if shown_P.all() or int(shown_P.sum()) < FEWEST:
        return
    template_PD = TEMPLATE_2D if joints_FJD.shape[-1] == DIMS["2D"] else TEMPLATE_3D
    target_FPD = joints_FJD[
        :, [joint for joint, shown in zip(places, shown_P, strict=True) if shown]
    ]
    source_FPD = np.broadcast_to(template_PD[shown_P], target_FPD.shape)
    fit = similarity(source_FPD.astype(np.float64), target_FPD.astype(np.float64))
    laid_FPD = fit.apply(
        np.broadcast_to(template_PD, (len(joints_FJD), *template_PD.shape)).astype(np.float64)
    ).numpy()
    for place in _ORDER:
        if shown_P[place]:
            continue
        parent = _PARENTS[place]
        point_FD = laid_FPD[:, place]
        if parent is not None:
            # With the limb's own length and direction, from where the limb begins.
            point_FD = joints_FJD[:, places[parent]] + point_FD - laid_FPD[:, parent]
        joints_FJD[:, places[place]] = point_FD
        there_J[places[place]] = True


def _between_neighbours(
    joints_FJD: Poses, there_J: Bools, edges: tuple[tuple[int, int], ...]
) -> None:
    for joint in np.flatnonzero(~there_J).tolist():
        ends = [{*edge} - {joint} for edge in edges if joint in edge]
        beside = [end for pair in ends for end in pair if there_J[end]]
        if beside:
            joints_FJD[:, joint] = joints_FJD[:, beside].mean(axis=1)
            there_J[joint] = True


def _rotations(poses_FC: Poses, unseen_FJ: Bools) -> Poses:
    """Fill 6D rotations."""
    joints_FJ32 = poses_FC.reshape(*unseen_FJ.shape, 3, 2).copy()
    times_F = np.arange(len(joints_FJ32))
    for joint in np.flatnonzero(unseen_FJ.any(axis=0)).tolist():
        lost_F = unseen_FJ[:, joint]
        if lost_F.all():
            joints_FJ32[:, joint] = np.eye(3)[:, :2]
            continue
        seen_F32 = joints_FJ32[~lost_F, joint].astype(np.float64)
        third_F3 = np.cross(seen_F32[..., 0], seen_F32[..., 1])
        turns = Rotation.from_matrix(np.concatenate([seen_F32, third_F3[..., None]], axis=-1))
        seen_at, lost_at = times_F[~lost_F], times_F[lost_F]
        if len(seen_at) == 1:
            found_F33 = np.broadcast_to(turns.as_matrix(), (len(lost_at), 3, 3))
        else:
            found_F33 = Slerp(seen_at, turns)(lost_at.clip(seen_at[0], seen_at[-1])).as_matrix()
        joints_FJ32[lost_F, joint] = found_F33[..., :2]
    return joints_FJ32.reshape(poses_FC.shape)
