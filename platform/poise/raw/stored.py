"""From what the files store to what Poise computes with, per data set."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from poise.tracks import Track

_SMPL_JOINTS: Final = 24
#: 3DPW files of these estimators hold 17 joints; the published evaluation takes these 14.
_PW3D_OF_17_JOINTS: Final = ("spin", "eft", "pare")
_PW3D_14_OF_17: Final = (6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10)
_H36M_HALF_IMAGE: Final = 500.0


def stored_widths(track: Track) -> tuple[int, ...]:
    """Values per frame that a file of the track may hold."""
    info = track.info
    if track.representation == "smpl":
        return (_SMPL_JOINTS * 3,)
    width = info.joints * info.dims
    return (width, 17 * 3) if _is_cut(track) else (width,)


def needs_image_shape(track: Track) -> bool:
    """Tell whether `to_poise` needs the size of the images."""
    return track.dataset == "jhmdb" and track.representation == "2D"


def to_poise(
    stored_FX: NDArray[np.float64], track: Track, image_shape: NDArray[np.float64] | None
) -> NDArray[np.float32]:
    """Convert the frames of a sequence: metres, normalised pixels, or 6D rotations.

    Args:
        stored_FX: (F, X) finite, X one of `stored_widths`.
        track: whose poses they are.
        image_shape: (..., 2) height and width, per sequence or per frame, where
            `needs_image_shape`.

    Returns:
        (F, C) float32.
    """
    poses_FC = stored_FX
    if track.representation == "smpl":
        poses_FC = _rotations_6d(stored_FX)
    elif _is_cut(track) and stored_FX.shape[1] == 17 * 3:
        poses_FC = stored_FX.reshape(-1, 17, 3)[:, _PW3D_14_OF_17].reshape(len(stored_FX), -1)
    elif track.representation == "2D" and track.dataset == "h36m":
        poses_FC = (stored_FX - _H36M_HALF_IMAGE) / _H36M_HALF_IMAGE
    elif image_shape is not None:
        size_F2 = np.broadcast_to(image_shape[..., [1, 0]], (len(stored_FX), 2))
        poses_FC = stored_FX / np.tile(size_F2, stored_FX.shape[1] // 2) - 0.5
    return poses_FC.astype(np.float32)


def _is_cut(track: Track) -> bool:
    return track.dataset == "pw3d" and track.estimator in _PW3D_OF_17_JOINTS


def _rotations_6d(axis_angle_FX: NDArray[np.float64]) -> NDArray[np.float64]:
    matrices = Rotation.from_rotvec(axis_angle_FX.reshape(-1, 3)).as_matrix()
    # The first two columns, row by row: r00 r01 r10 r11 r20 r21, as the published models read it.
    return matrices[:, :, :2].reshape(len(axis_angle_FX), -1)
