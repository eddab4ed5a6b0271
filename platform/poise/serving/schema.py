"""HTTP bodies of the service, and what makes a sequence acceptable.

Everything that can be wrong with one request is found here, before it meets another request in a
batch. Errors stop at the first offending number: a body of a million bad ones costs no more.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from fastapi.exceptions import RequestValidationError
from numpy.typing import NDArray
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
)
from pydantic_core import PydanticCustomError

#: Five minutes at 30 frames a second; longer recordings are split by the client.
MAX_FRAMES = 10_000
#: A body of `MAX_FRAMES` frames of 17 joints in 3D, printed with all digits, fits.
MAX_BODY_BYTES = 16 * 1024 * 1024
#: Beyond it float32 arithmetic on squares and products starts to lose pose-sized differences.
LARGEST = 1e6
#: No person is this tall in metres, so such poses are in millimetres or pixels.
TALLEST_METRES = 20.0

LAYOUTS = ("nested", "flat")

_Number = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-LARGEST, le=LARGEST)]
_Numbers = Annotated[list[_Number], Field(min_length=1, fail_fast=True)]
_Joints = Annotated[list[_Numbers], Field(min_length=1, fail_fast=True)]
_Frames = Field(min_length=1, max_length=MAX_FRAMES, fail_fast=True)
_Nested = Annotated[list[_Joints], _Frames]
_Flat = Annotated[list[_Numbers], _Frames]


def _layout(value: Any) -> str:
    nested = (
        isinstance(value, list)
        and len(value) > 0
        and isinstance(value[0], list)
        and len(value[0]) > 0
        and isinstance(value[0][0], list)
    )
    return "nested" if nested else "flat"


def _regular(value: list[Any]) -> list[Any]:
    width = len(value[0])
    for f, frame in enumerate(value):
        if len(frame) != width:
            raise PydanticCustomError(
                "ragged",
                "frame {frame} has {got} entries and frame 0 has {want}: every frame needs the "
                "same joints",
                {"frame": f, "got": len(frame), "want": width},
            )
    if isinstance(value[0][0], list):
        dims = len(value[0][0])
        for f, frame in enumerate(value):
            for j, joint in enumerate(frame):
                if len(joint) != dims:
                    raise PydanticCustomError(
                        "ragged",
                        "joint {joint} of frame {frame} has {got} coordinates and joint 0 of "
                        "frame 0 has {want}",
                        {"frame": f, "joint": j, "got": len(joint), "want": dims},
                    )
    return value


Poses = Annotated[
    Annotated[_Nested, Tag("nested")] | Annotated[_Flat, Tag("flat")],
    Discriminator(_layout),
    AfterValidator(_regular),
]


class RefineRequest(BaseModel):
    """One person in one recording: what the estimator saw."""

    model_config = ConfigDict(extra="forbid")

    poses: Poses = Field(
        description="Frames of joints of coordinates, or frames of joints x coordinates numbers. "
        "Joints in the order of the track; 3D in metres, 2D in the track's units."
    )
    track: str | None = Field(
        default=None,
        max_length=200,
        description="Refuse to answer unless the model was trained on this track.",
    )
    model: str | None = Field(
        default=None, max_length=200, description="Refuse to answer unless this model is served."
    )
    name: str | None = Field(
        default=None, max_length=200, description="Comes back as it is, to tell answers apart."
    )
    fps: float | None = Field(
        default=None,
        gt=0,
        le=10_000,
        allow_inf_nan=False,
        description="Frames a second; comes back as it is. Where it differs from the rate the "
        "model was trained at, the answer carries a warning.",
    )


class Distances(BaseModel):
    """Squared L2 distances of the sequence's windows to their neighbours in the PVD.

    Large values mean that the motion resembles nothing the database holds.
    """

    min: float
    median: float
    max: float


class ServedModelInfo(BaseModel):
    """A model this service answers with."""

    name: str
    version: str | None = Field(description="Version in the registry; null for a bare checkpoint.")
    track: str
    refiner: str
    joints: int
    dims: int
    unit: str = Field(description="Unit of `poses`.")
    fps: float | None = Field(description="Frame rate of the track it was trained on.")
    retrieval: Literal["ready", "unavailable", "none"]


class ModelRef(BaseModel):
    """Which model refined a sequence."""

    name: str
    version: str | None
    track: str


class RefineResponse(BaseModel):
    """The refined sequence: same frames, joints, order, units and nesting as the request."""

    poses: list[list[list[float]]] | list[list[float]]
    quality: list[float] | None = Field(
        description="Per frame, in (0, 1], near 1 where precise and smooth estimates agree; null "
        "where the refiner has no such estimate."
    )
    retrieval: Literal["used", "unavailable", "none"] = Field(
        description="Whether neighbours from the pose vector database took part. `unavailable`: "
        "the database did not answer and the poses are refined without it. `none`: this model "
        "uses none."
    )
    distances: Distances | None
    model: ModelRef
    name: str | None
    fps: float | None
    frames: int
    seconds: float = Field(description="From the parsed request to the refined poses.")
    warnings: list[str]


class ModelList(BaseModel):
    """All models of the service."""

    models: list[ServedModelInfo]


class Health(BaseModel):
    """The service answers."""

    status: Literal["ok"]
    model: str
    retrieval: Literal["ready", "unavailable", "none"]


class Problem(BaseModel):
    """One thing wrong with a request."""

    field: str = Field(description="Where, for example poses[3][5][2].")
    loc: list[str | int]
    msg: str
    type: str


class Problems(BaseModel):
    """Why a request was refused."""

    detail: list[Problem]


def refused(field: str, kind: str, message: str) -> RequestValidationError:
    """The error FastAPI itself would raise for a field of the body."""
    return RequestValidationError([{"loc": ("body", field), "type": kind, "msg": message}])


def problems(errors: Sequence[Any]) -> Problems:
    """Name the fields, and leave out the offending values: they may be NaN, or megabytes."""
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


def as_frames(poses: list[Any], joints: int, dims: int, unit: str) -> NDArray[np.float32]:
    """Validated poses as (F, C) float32.

    Raises:
        RequestValidationError: they are not poses of ``joints`` x ``dims`` in ``unit``.
    """
    array = np.asarray(poses, dtype=np.float32)
    if array.shape[1:] not in ((joints, dims), (joints * dims,)):
        got = " x ".join(str(size) for size in array.shape[1:])
        raise refused(
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
            raise refused(
                "poses",
                "wrong_unit",
                f"a person {extent:.0f} m in size: this model takes metres (divide millimetres "
                "by 1000)",
            )
    return frames_FC
