"""AMASS takes (npz): body poses of the SMPL family."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from poise.mocap.formats.body_model import Body
from poise.mocap.joints import SMPL, pick
from poise.runtime.errors import DataError
from poise_retrieval.geometry.skeletons import SMPL_JOINTS

Floats = NDArray[np.float64]
_JOINTS: Final = len(SMPL_JOINTS)
#: Values a frame: SMPL's 24 joints; SMPL+H's and SMPL-X's 22 body joints, then face and fingers.
_WIDTHS: Final = {72: 24, 156: 22, 165: 22}
_RATES: Final = ("mocap_framerate", "mocap_frame_rate")


@dataclass(frozen=True)
class SmplTake:
    """A take as rotations.

    Attributes:
        pose_FJ3: axis-angles, (F, 24, 3), radians; hands are zero where the file has fingers.
        trans_F3: metres, z up.
        betas: shape coefficients.
    """

    fps: float
    gender: str
    pose_FJ3: Floats
    betas: Floats
    trans_F3: Floats


def read_amass(path: Path) -> SmplTake:
    """Read a take; nothing in the file is executed.

    Raises:
        DataError: missing, damaged, or without what a take needs.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            found: dict[str, Any] = {key: stored[key] for key in stored.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: not a whole npz file of plain arrays ({error})") from None
    rate = next((key for key in _RATES if key in found), None)
    missing = [key for key in ("poses", "trans", "betas") if key not in found]
    if missing or rate is None:
        raise DataError(
            f"{path}: no {', '.join(missing) or _RATES[0]}; it holds {', '.join(sorted(found))}"
        )
    poses_FP = np.asarray(found["poses"], np.float64)
    trans_F3 = np.asarray(found["trans"], np.float64)
    if poses_FP.ndim != 2 or poses_FP.shape[1] not in _WIDTHS:
        raise DataError(
            f"{path}: poses have shape {poses_FP.shape}, expected (frames, {list(_WIDTHS)})"
        )
    if trans_F3.shape != (len(poses_FP), 3):
        raise DataError(f"{path}: trans has shape {trans_F3.shape} for {len(poses_FP)} frames")
    body = _WIDTHS[poses_FP.shape[1]]
    pose_FJ3 = np.zeros((len(poses_FP), _JOINTS, 3))
    pose_FJ3[:, :body] = poses_FP[:, : 3 * body].reshape(-1, body, 3)
    gender = found.get("gender", np.array("neutral")).item()
    if isinstance(gender, bytes):
        gender = gender.decode("ascii", "replace")
    betas = np.asarray(found["betas"], np.float64).ravel()
    return SmplTake(float(found[rate]), str(gender), pose_FJ3, betas, trans_F3)


def joints_of(take: SmplTake, body: Body) -> Floats:
    """Return the 17 joints in metres, y up, (F, 17, 3)."""
    joints_FJ3 = pick(body.joints(take.pose_FJ3, take.betas, take.trans_F3), SMPL_JOINTS, SMPL)
    return z_up_to_y_up(joints_FJ3)


def z_up_to_y_up(points_FP3: Floats) -> Floats:
    """Turn points about the x axis so that z becomes y."""
    x, y, z = np.moveaxis(points_FP3, -1, 0)
    return np.stack([x, z, -y], axis=-1)
