"""Unit and upward axis of a motion, told from its coordinates where nobody says."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from poise.catalog.joint_sets import plain_joints
from poise.motion.motion import DIMENSIONS, Motion
from poise.motion.units import Axis, Unit

#: How large a body is in each unit: its longest side, moving and standing.
_SIZES: Final[dict[Unit, tuple[float, float]]] = {
    "m": (0.25, 4.0),
    "cm": (25.0, 400.0),
    "mm": (400.0, 4000.0),
}
#: Nothing in an image that is scaled to 1 is farther out.
_NORMALISED: Final = 2.0
_HEADS: Final = ("head", "head_top", "nose", "neck", "thorax", "left_eye", "right_eye")
_FEET: Final = ("left_ankle", "right_ankle", "left_heel", "right_heel", "left_foot", "right_foot",
                "left_big_toe", "right_big_toe", "left_knee", "right_knee")  # fmt: skip
_HIPS: Final = ("left_hip", "right_hip")
#: One axis holds at least this much of the way from feet to head.
_UPRIGHT: Final = 0.6
#: Frames that are looked at.
_SAMPLED: Final = 2000


def told(motion: Motion) -> Motion:
    """Return the motion with the unit and axis its coordinates show, where it has none.

    Nothing is scaled or turned; the notes say what was told from the data.
    """
    notes = []
    unit, up = motion.unit, motion.up
    if unit is None and (unit := likely_unit(motion)):
        notes.append(f"unit told from the size of the coordinates: {unit}")
    if up is None and motion.dims > 1 and (up := likely_up(motion)):
        notes.append(f"upward axis told from heads and feet: {up}")
    if unit == "normalised":
        notes.append(_of_the_image(motion.image))
    return replace(motion, unit=unit, up=up, notes=(*motion.notes, *notes))


def _of_the_image(image: tuple[float, float] | None) -> str:
    if image is None:
        return (
            "coordinates are shares of an image's width and height, whose shape nobody tells: "
            "taken for square; say it with --size 1920x1080 or --size 16:9"
        )
    width, height = image
    shape = f"{width:g} x {height:g} pixels" if height > 1 else f"{width:.4g} times as wide as high"
    return f"coordinates are shares of an image of {shape}"


def likely_unit(motion: Motion) -> Unit | None:
    """Return the unit in which coordinates are those of a body, or None."""
    poses = _sampled(motion)
    finite = np.abs(poses[~np.isnan(poses)])
    if not finite.size or motion.dims == 1:
        return None
    if motion.dims == 2:
        return "normalised" if np.quantile(finite, 0.99) <= _NORMALISED else "px"
    if motion.skeleton == "mediapipe33" and np.quantile(finite, 0.9) <= _NORMALISED:
        # World landmarks have the middle of the hips at zero.
        hips = _mean(motion, poses, _HIPS)
        return "m" if hips is None or np.nanmedian(np.abs(hips)) < 0.05 else "normalised"
    size = body_size(motion)
    if size is None:
        return None
    return next((unit for unit, (low, high) in _SIZES.items() if low <= size <= high), None)


def likely_up(motion: Motion) -> Axis | None:
    """Return the axis that leads from feet to heads, or None where none does clearly."""
    poses = _sampled(motion)
    heads, feet = _mean(motion, poses, _HEADS), _mean(motion, poses, _FEET)
    if heads is None or feet is None:
        return None
    way = (heads - feet).reshape(-1, motion.dims)
    way = way[~np.isnan(way).any(1)]
    if not len(way):
        return None
    mean = np.median(way, axis=0)
    axis = int(np.abs(mean).argmax())
    if np.abs(mean[axis]) < _UPRIGHT * np.linalg.norm(mean):
        return None
    return cast(Axis, ("+" if mean[axis] > 0 else "-") + DIMENSIONS[axis])


def body_size(motion: Motion) -> float | None:
    """Return the longest side of the box around a body, the median over people and frames."""
    poses = _sampled(motion)
    known = ~np.isnan(poses).any(-1)
    whole = known.sum(-1) >= max(2, 0.7 * len(motion.joints))
    if not whole.any():
        return None
    bodies = poses[whole]
    sides = np.nanmax(bodies, 1) - np.nanmin(bodies, 1)
    return float(np.median(sides.max(-1)))


def oddities(motion: Motion) -> list[str]:
    """Return what units or axes look wrong, each in a line."""
    found = []
    likely, up = likely_unit(motion), likely_up(motion)
    size = body_size(motion)
    if motion.dims == 3 and motion.unit in _SIZES and size is not None:
        low, high = _SIZES[motion.unit]
        if not low / 4 <= size <= high * 4:
            guess = f"; it looks like {likely}" if likely and likely != motion.unit else ""
            found.append(f"a body of {size:.3g} {motion.unit}{guess}: --unit")
    if motion.dims == 2 and likely != motion.unit and motion.unit in ("px", "normalised"):
        found.append(f"coordinates said to be {motion.unit} look like {likely}: --unit")
    # Scaled to 1, an image is as wide as it is high, and who leans seems to lie.
    if up and motion.up and up != motion.up and motion.unit != "normalised":
        found.append(f"heads are towards {up} from the feet, up is said to be {motion.up}: --up")
    return found


def _sampled(motion: Motion) -> NDArray[np.float64]:
    stride = max(1, len(motion) // _SAMPLED)
    return np.asarray(motion.poses_FPJD[::stride], np.float64)


def _mean(
    motion: Motion, poses: NDArray[np.float64], names: Sequence[str]
) -> NDArray[np.float64] | None:
    """Return the middle of some joints, (F, P, D); None where there are none of them."""
    plain = plain_joints(motion.joints)
    places = [plain.index(name) for name in names if name in plain]
    if not places:
        return None
    part = poses[:, :, places]
    known = ~np.isnan(part)
    sums, counts = np.where(known, part, 0.0).sum(2), known.sum(2)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
