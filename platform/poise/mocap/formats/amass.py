"""AMASS takes (npz): body poses of the SMPL family. Only the keys a take needs are opened."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from poise.mocap.formats.body_model import Body
from poise.mocap.joints import SMPL, pick
from poise.readers.image_names import as_text
from poise.readers.untrusted.object_npz import listed, npz_keys, plain_array, single_value
from poise.runtime.errors import DataError
from poise_retrieval.geometry.skeletons import SMPL_JOINTS

Floats = NDArray[np.float64]
_JOINTS: Final = len(SMPL_JOINTS)
#: Values a frame: SMPL's 24 joints; SMPL+H's and SMPL-X's 22 body joints, then face and fingers.
_WIDTHS: Final = {72: 24, 66: 22, 156: 22, 165: 22}
#: Of these, the family of models whose shapes the file's are.
_FAMILY: Final = {72: "", 156: "h", 165: "x"}
RATES: Final = ("mocap_framerate", "mocap_frame_rate", "fps", "framerate")
#: Where there is no key ``poses``: the same in two parts.
PARTS: Final = ("root_orient", "pose_body")
_GENDERS: Final = {"m": "male", "f": "female", "n": "neutral"}
_LONGEST_GENDER: Final = 16
#: The axis that points up.
Up = Literal["+z", "+y", "-y"]
_UNTOLD: Final = ("", "none", "unknown", "nan")


@dataclass(frozen=True)
class SmplTake:
    """A take as rotations.

    Attributes:
        fps: frames a second; NaN where the file says nothing one can use.
        pose_FJ3: axis-angles, (F, 24, 3), radians; hands are zero where the file has fingers.
        trans_F3: metres.
        betas: shape coefficients; none for the mean shape.
        family: of the body model, see `Bodies.of`; None where the file does not tell.
        notes: what was taken for granted.
        up: the axis that points up: z, but in files that Poise wrote of other bodies.
    """

    fps: float
    gender: str
    pose_FJ3: Floats
    betas: Floats
    trans_F3: Floats
    family: str | None = None
    notes: tuple[str, ...] = ()
    up: Up = "+z"


def holds_take(path: Path) -> bool:
    """Say by its keys whether an npz file is a take, and not the shape of somebody."""
    try:
        keys = set(npz_keys(path))
    except DataError:
        return False
    moves = "poses" in keys or keys.issuperset(PARTS)
    return moves and "trans" in keys and not keys.isdisjoint(RATES)


def read_amass(path: Path) -> SmplTake:
    """Read a take; nothing in the file is executed.

    Raises:
        DataError: missing, damaged, or without what a take needs.
    """
    keys = set(npz_keys(path))
    rate = next((key for key in RATES if key in keys), None)
    parts = ("poses",) if "poses" in keys or not keys.issuperset(PARTS) else PARTS
    missing = [key for key in (*parts, "trans") if key not in keys]
    if missing or rate is None:
        raise DataError(
            f"{path}: no {', '.join(missing) or RATES[0]}; it holds {listed(sorted(keys))}"
        )
    poses = [_rows(_numbers(path, key)) for key in parts]
    trans_F3 = _numbers(path, "trans")
    betas = _numbers(path, "betas") if "betas" in keys else None
    gender = single_value(path, "gender") if "gender" in keys else "neutral"
    fps = _rate(path, rate, single_value(path, rate))
    if any(part.ndim != 2 or len(part) != len(poses[0]) for part in poses):
        shapes = " and ".join(f"{key} {part.shape}" for key, part in zip(parts, poses, strict=True))
        raise DataError(f"{path}: {shapes}: expected (frames, values)")
    poses_FP = np.concatenate(poses, axis=1)
    if poses_FP.shape[1] not in _WIDTHS:
        raise DataError(
            f"{path}: poses have shape {poses_FP.shape}, expected (frames, {list(_WIDTHS)})"
        )
    if trans_F3.shape != (len(poses_FP), 3):
        raise DataError(f"{path}: trans has shape {trans_F3.shape} for {len(poses_FP)} frames")
    body = _WIDTHS[poses_FP.shape[1]]
    pose_FJ3 = np.zeros((len(poses_FP), _JOINTS, 3))
    pose_FJ3[:, :body] = poses_FP[:, : 3 * body].reshape(-1, body, 3)
    gender, gender_note = _gender(path, gender)
    betas, betas_note = _shape(path, betas)
    notes = tuple(f"{path}: {note}" for note in (gender_note, betas_note) if note)
    family = _FAMILY.get(poses_FP.shape[1])
    up = _axis(path) if "up" in keys else "+z"
    return SmplTake(fps, gender, pose_FJ3, betas, trans_F3, family, notes, up)


def body_width(width: int) -> int:
    """Return how many of a frame's values are the body's, the first ones."""
    return 3 * _WIDTHS[width]


def _numbers(path: Path, key: str) -> Floats:
    array = plain_array(path, key)
    if array.dtype.kind not in "fiub":
        raise DataError(f"{path}: {key} is {array.dtype}; only plain arrays of numbers are read")
    return np.asarray(array, np.float64)


def _rows(values: Floats) -> Floats:
    """Flatten (F, J, 3) to (F, J * 3)."""
    return values.reshape(len(values), -1) if values.ndim == 3 else values


def _rate(path: Path, key: str, value: Any) -> float:
    text = as_text(value)
    try:
        return float(value if text is None else text)
    except (TypeError, ValueError):
        if value is None or text is not None:
            return float("nan")
        raise DataError(f"{path}: {key} is no number") from None


def _axis(path: Path) -> Up:
    value = as_text(single_value(path, "up"))
    for axis in get_args(Up):
        if value == axis:
            return cast(Up, axis)
    raise DataError(f"{path}: up must be one of {', '.join(get_args(Up))}")


def _gender(path: Path, value: Any) -> tuple[str, str]:
    text = "" if value is None else as_text(value)
    if text is None:
        raise DataError(f"{path}: gender is no text; only plain arrays and text are read")
    gender = text.strip().casefold()
    if len(gender) > _LONGEST_GENDER or not (gender.isalpha() or gender in _UNTOLD):
        raise DataError(f"{path}: gender {ascii(gender)[:40]} is none")  # it names a file
    if gender in _UNTOLD:
        return "neutral", f"gender is {text.strip() or 'not told'}; taken for neutral"
    return _GENDERS.get(gender, gender), ""


def _shape(path: Path, betas: Floats | None) -> tuple[Floats, str]:
    if betas is None:
        return np.zeros(0), "no betas; taken for the mean shape"
    if not np.isfinite(betas).all():
        raise DataError(f"{path}: betas are not finite")
    if betas.ndim < 2 or not len(betas):
        return betas.ravel(), ""
    rows = betas.reshape(len(betas), -1)
    changes = not np.allclose(rows, rows[0])
    return rows[0], "betas change from frame to frame; the first frame's are used" * changes


def joints_of(take: SmplTake, body: Body) -> Floats:
    """Return the 17 joints in metres, y up, (F, 17, 3)."""
    joints_FJ3 = pick(body.joints(take.pose_FJ3, take.betas, take.trans_F3), SMPL_JOINTS, SMPL)
    if take.up == "+z":
        return z_up_to_y_up(joints_FJ3)
    return joints_FJ3 if take.up == "+y" else joints_FJ3 * (1.0, -1.0, -1.0)


def z_up_to_y_up(points_FP3: Floats) -> Floats:
    """Turn points about the x axis so that z becomes y."""
    x, y, z = np.moveaxis(points_FP3, -1, 0)
    return np.stack([x, z, -y], axis=-1)
