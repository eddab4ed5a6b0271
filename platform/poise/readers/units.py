"""Convert poses from the units of the files to those of Poise."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from poise.catalog.dataset_file import Pixels, Representation
from poise.catalog.tracks import Track
from poise.readers.missing import FARTHEST, unseen

#: What holds the poses in an npz file, by preference. A release of the 3DPW ground truth spells the
#: key of the SMPL poses "psoe".
POSE_KEYS: Final[dict[Representation, tuple[str, ...]]] = {
    "3D": ("joints_3d", "keypoints_3d"),
    "2D": ("joints_2d", "keypoints_2d"),
    "smpl": ("pose", "psoe"),
}


def stored_widths(track: Track) -> tuple[int, ...]:
    """Return how many values a frame of the track may have in a file."""
    info = track.info
    if track.representation == "smpl":
        return (info.joints * 3,)
    return tuple({joints * info.dims: None for joints in (info.joints, info.stored_joints)})


def needs_image_shape(track: Track) -> bool:
    """Say whether `to_poise` needs the size of the images."""
    return track.info.pixels == "image"


def to_poise(
    stored_FX: NDArray[np.float64],
    track: Track,
    image_shape: NDArray[np.float64] | None,
    confidence_FJ: NDArray[np.float64] | None = None,
) -> NDArray[np.float32]:
    """Convert the frames of a sequence: metres, normalised pixels, or 6D rotations.

    Joints that were not seen (`missing.unseen`) come as NaN.

    Args:
        stored_FX: (F, X), X one of `stored_widths`.
        track: the track they belong to.
        image_shape: (..., 2) height and width, per sequence or per frame, where
            `needs_image_shape`.
        confidence_FJ: of every stored joint, where the estimator gives one.

    Returns:
        (F, C) float32.
    """
    if track.representation == "smpl":
        return _rotations_6d(stored_FX, confidence_FJ).astype(np.float32)
    info = track.info
    poses_FJD = stored_FX.reshape(len(stored_FX), -1, info.dims)
    if info.picked is not None and poses_FJD.shape[1] == info.stored_joints:
        poses_FJD = poses_FJD[:, info.picked]
        confidence_FJ = None if confidence_FJ is None else confidence_FJ[:, info.picked]
    unseen_FJ = unseen(poses_FJD, info, confidence_FJ)
    if unseen_FJ.any():
        poses_FJD = np.where(unseen_FJ[..., None], np.nan, poses_FJD)
    if isinstance(info.pixels, Pixels):
        poses_FJD = (poses_FJD - info.pixels.centre) / info.pixels.scale
    elif image_shape is not None:
        size_F2 = np.broadcast_to(image_shape[..., [1, 0]], (len(poses_FJD), 2))
        poses_FJD = poses_FJD / size_F2[:, None] - 0.5
    elif info.metres != 1.0:
        poses_FJD = poses_FJD * info.metres
    return poses_FJD.reshape(len(poses_FJD), -1).astype(np.float32)


def _rotations_6d(
    axis_angle_FX: NDArray[np.float64], confidence_FJ: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    # A rotation of zeros is one; only what is no number was not seen.
    turns_FJ3 = axis_angle_FX.reshape(len(axis_angle_FX), -1, 3)
    with np.errstate(invalid="ignore"):
        lost_FJ = ~np.logical_and.reduce(np.abs(turns_FJ3) <= FARTHEST, axis=-1)
    if confidence_FJ is not None:
        lost_FJ |= ~(confidence_FJ > 0)
    turns_FJ3 = np.where(lost_FJ[..., None], 0.0, turns_FJ3)
    matrices = Rotation.from_rotvec(turns_FJ3.reshape(-1, 3)).as_matrix()
    # The first two columns, row by row: r00 r01 r10 r11 r20 r21, as the published models read it.
    found_FJ6 = matrices[:, :, :2].reshape(*lost_FJ.shape, 6)
    found_FJ6[lost_FJ] = np.nan
    return found_FJ6.reshape(len(axis_angle_FX), -1)
