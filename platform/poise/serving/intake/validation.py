"""What a request must satisfy beyond its schema, and how the service words what is wrong with it.

Together with `schema` this finds everything that can be wrong with one request, before it meets
another request in a batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from fastapi.exceptions import RequestValidationError
from numpy.typing import NDArray

from poise.catalog.tracks import TrackInfo
from poise.readers.filling import too_little, whole
from poise.readers.missing import confidences, no_confidences, unseen
from poise.readers.scale import no_person
from poise.runtime.printable import printable
from poise.serving.schema import LARGEST, LAYOUTS, Problem, Problems, is_nested

#: Problems that an answer names, and characters of a field's name that it repeats.
MOST_PROBLEMS = 20
_LONGEST_NAME = 100


@dataclass(frozen=True)
class Frames:
    """Poses of a request: (F, C) without gaps, and the joints (F, J) that were filled, if any."""

    poses_FC: NDArray[np.float32]
    unseen_FJ: NDArray[np.bool_] | None = None


def check_shape(frame: list[Any], info: TrackInfo) -> None:
    """See that a frame has the joints of a track; `as_frames` looks at the numbers.

    Raises:
        RequestValidationError: it has others.
    """
    shape = _with_nan([frame]).shape[1:]
    if not _has_confidence(shape, info.joints, info.dims):
        _check_shape(shape, info.joints, info.dims)


def as_frames(poses: list[Any], info: TrackInfo, unit: str) -> Frames:
    """Poses, nested by joint or flat, without gaps.

    Raises:
        RequestValidationError: they are not poses of these joints in ``unit``.
    """
    points_FJD, confidence_FJ = points(poses, info.joints, info.dims)
    unseen_FJ = unseen(points_FJD.astype(np.float64), info, confidence_FJ)
    nothing = too_little(unseen_FJ, info)
    if nothing:
        raise field_error("poses", "never_seen", nothing)
    gaps_FJD = np.where(unseen_FJ[..., None], np.float32(np.nan), points_FJD)
    frames_FC, filled_FJ = whole(gaps_FJD.reshape(len(points_FJD), -1), info)
    if unit == "m":
        wrong = no_person(frames_FC.reshape(points_FJD.shape))
        if wrong:
            raise field_error("poses", "wrong_unit", f"{wrong}; this model takes metres")
    return Frames(frames_FC, filled_FJ)


def points(
    poses: list[Any], joints: int, dims: int
) -> tuple[NDArray[np.float32], NDArray[np.float64] | None]:
    """Numbers as (F, J, D), NaN where there is null, and the confidence of joints that have one."""
    array = _with_nan(poses)
    beyond = np.argwhere(np.abs(array) > LARGEST)
    if len(beyond):
        problem = f"should be a number from {-LARGEST:g} to {LARGEST:g}"
        raise field_error("poses", "too_large", problem, *beyond[0].tolist())
    if _has_confidence(array.shape[1:], joints, dims):
        array = array.reshape(len(array), joints, dims + 1)
        last_FJ = array[..., dims].astype(np.float64)
        if not confidences(last_FJ):
            raise field_error("poses", "no_confidence", no_confidences(last_FJ))
        return np.ascontiguousarray(array[..., :dims]), last_FJ
    _check_shape(array.shape[1:], joints, dims)
    return array.reshape(len(array), joints, dims), None


def _has_confidence(shape: tuple[int, ...], joints: int, dims: int) -> bool:
    return shape in ((joints, dims + 1), (joints * (dims + 1),))


def _check_shape(shape: tuple[int, ...], joints: int, dims: int) -> None:
    if shape not in ((joints, dims), (joints * dims,)):
        got = " x ".join(str(size) for size in shape)
        raise field_error(
            "poses",
            "wrong_shape",
            f"frames are {got}; this model takes {joints} joints x {dims} coordinates "
            f"(or {joints * dims} numbers) a frame; a confidence may follow those of each joint",
        )


def _with_nan(poses: list[Any]) -> NDArray[np.float32]:
    """Put NaN where a frame or a joint is null, as NumPy does where a number is."""
    if is_nested(poses):
        known = next(joint for frame in poses if frame for joint in frame if joint is not None)
        lost = [None] * len(known)
        poses = [frame and [lost if joint is None else joint for joint in frame] for frame in poses]
    if None in poses:
        blank = next(frame for frame in poses if frame is not None)
        empty = np.full(np.asarray(blank, dtype=np.float32).shape, np.nan).tolist()
        poses = [empty if frame is None else frame for frame in poses]
    with np.errstate(over="ignore"):
        return np.asarray(poses, dtype=np.float32)


def problems(errors: Sequence[Any]) -> Problems:
    """Describe validation errors by the fields they are about, the first few of them.

    The offending values are left out: they may be NaN, or megabytes. Names of fields are cut.

    Args:
        errors: as `RequestValidationError.errors` gives them.
    """
    return Problems(detail=[_problem(error) for error in errors[:MOST_PROBLEMS]])


def _problem(error: dict[str, Any]) -> Problem:
    loc = [
        printable(part[:_LONGEST_NAME]) if isinstance(part, str) else part
        for before, part in zip((None, *error["loc"]), error["loc"], strict=False)
        if not (before == "poses" and part in LAYOUTS)
    ]
    if error["type"] == "model_attributes_type":
        message = "the body must be a JSON object, sent with Content-Type: application/json"
        return Problem(field="body", loc=loc, msg=message, type="json_type")
    if error["type"] == "json_invalid":
        reason = error.get("ctx", {}).get("error", "")
        return Problem(
            field="body", loc=loc, msg=f"not JSON: {reason} at byte {loc[-1]}", type="json_invalid"
        )
    path = loc[1:] if loc[:1] in (["body"], ["query"]) else loc
    field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return Problem(field=field.lstrip(".") or "body", loc=loc, msg=error["msg"], type=error["type"])


def field_error(field: str, kind: str, message: str, *place: int) -> RequestValidationError:
    """The error that FastAPI itself would raise for a field of the body, or a place in it."""
    return RequestValidationError([{"loc": ("body", field, *place), "type": kind, "msg": message}])
