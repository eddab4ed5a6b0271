"""What a request must satisfy beyond its schema, and how the service words what is wrong with it.

Together with `schema` this finds everything that can be wrong with one request, before it meets
another request in a batch.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from fastapi import HTTPException
from fastapi.exceptions import RequestValidationError
from numpy.typing import NDArray

from poise.serving.model import ServedModel
from poise.serving.schema import LAYOUTS, Problem, Problems, RefineRequest

#: No person is this tall in metres, so such poses are in millimetres or pixels.
TALLEST_METRES = 20.0


def checked_frames(model: ServedModel, body: RefineRequest) -> NDArray[np.float32]:
    """The poses of a request as (F, C), in the model's unit.

    Raises:
        HTTPException: 404, the request asks for a model that is not served here.
        RequestValidationError: the poses or their track are not the model's.
    """
    if body.model not in (None, model.name):
        raise HTTPException(404, f"no model {body.model!r} here; there is {model.name}")
    if body.track not in (None, str(model.track)):
        raise _field_error("track", "wrong_track", f"{model.name} was trained on {model.track}")
    spec = model.refiner.spec
    return as_frames(body.poses, spec.joints, spec.dims, model.unit)


def as_frames(poses: list[Any], joints: int, dims: int, unit: str) -> NDArray[np.float32]:
    """Poses, nested by joint or flat, as (F, C) float32 with C = ``joints`` x ``dims``.

    Raises:
        RequestValidationError: they are not poses of ``joints`` x ``dims`` in ``unit``.
    """
    array = np.asarray(poses, dtype=np.float32)
    if array.shape[1:] not in ((joints, dims), (joints * dims,)):
        got = " x ".join(str(size) for size in array.shape[1:])
        raise _field_error(
            "poses",
            "wrong_shape",
            f"frames are {got}; this model takes {joints} joints x {dims} coordinates "
            f"(or {joints * dims} numbers) a frame",
        )
    frames_FC = array.reshape(len(array), joints * dims)
    if unit == "m":
        points_FJD = frames_FC.reshape(-1, joints, dims)
        extent = float(np.median(np.ptp(points_FJD, axis=1).max(axis=1)))
        if extent > TALLEST_METRES:
            raise _field_error(
                "poses",
                "wrong_unit",
                f"a person {extent:.0f} m in size: this model takes metres (divide millimetres "
                "by 1000)",
            )
    return frames_FC


def problems(errors: Sequence[Any]) -> Problems:
    """Describe validation errors by the fields they are about.

    The offending values are left out: they may be NaN, or megabytes.

    Args:
        errors: as `RequestValidationError.errors` gives them.
    """
    return Problems(detail=[_problem(error) for error in errors])


def _problem(error: dict[str, Any]) -> Problem:
    loc = [
        part
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
    path = loc[1:] if loc[:1] == ["body"] else loc
    field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return Problem(field=field.lstrip(".") or "body", loc=loc, msg=error["msg"], type=error["type"])


def _field_error(field: str, kind: str, message: str) -> RequestValidationError:
    """The error that FastAPI itself would raise for a field of the body."""
    return RequestValidationError([{"loc": ("body", field), "type": kind, "msg": message}])
