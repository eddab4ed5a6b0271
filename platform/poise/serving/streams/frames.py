"""Frames of a stream as messages: read from JSON or bytes, and written as either.

Shape letters: F frames, J joints, D dimensions.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from fastapi.exceptions import RequestValidationError
from numpy.typing import NDArray
from pydantic import ValidationError
from pydantic_core import PydanticCustomError, to_json

from poise.client.messages import Frames, LayoutError, decode, encode
from poise.runtime.printable import printable
from poise.serving.intake.reading import LAYOUTS
from poise.serving.intake.validation import points
from poise.serving.responses import DECIMALS
from poise.serving.schema import Regularity, is_nested
from poise.serving.streams.bodies import Body
from poise.serving.streams.opening import (
    INVALID,
    MOST_FRAMES,
    POLICY,
    StreamError,
)
from poise.serving.streams.timeline import Told

_KEYS: Final = {"type", "poses", "times"}


def from_bytes(message: bytes, body: Body) -> Frames:
    """Read frames in the binary layout.

    Raises:
        StreamError: they are none, or none of this body.
    """
    try:
        frames = decode(message, body.info.joints, body.info.dims)
    except LayoutError as error:
        field, _, text = str(error).partition(": ")
        raise StreamError(INVALID, field, text) from None
    if frames.error_NJ is not None or frames.quality_N is not None:
        raise StreamError(INVALID, "flags", "frames that come have no errors and no quality")
    _check_count(len(frames))
    return frames


def from_object(message: dict[str, Any], body: Body) -> Frames:
    """Read frames of a JSON object ``{"type": "frames", "poses": [...], "times": [...]}``.

    Raises:
        StreamError: they are none, or none of this body.
    """
    unknown = next((key for key in message if key not in _KEYS), None)
    if unknown is not None:
        raise StreamError(POLICY, printable(unknown[:100]), "there is no such field")
    poses = message.get("poses")
    if not isinstance(poses, list):
        raise StreamError(INVALID, "poses", "should be a list of frames")
    _check_count(len(poses))
    poses_FJD, confidence_FJ = _poses(poses, body)
    return Frames(poses_FJD, 0, _times(message.get("times"), len(poses)), confidence_FJ)


def as_bytes(told: Sequence[Told], body: Body) -> bytes:
    """Write refined frames in the binary layout; NaN where nobody was there."""
    shape = (body.info.joints, body.info.dims)
    nowhere_JD = np.full(shape, np.nan, np.float32)
    nothing_J = np.full(shape[0], np.nan, np.float32)
    errors = [nothing_J if one.error_J is None else one.error_J for one in told]
    qualities = [np.nan if one.quality is None else one.quality for one in told]
    return encode(
        Frames(
            np.stack([nowhere_JD if one.pose_JD is None else one.pose_JD for one in told]),
            told[0].number,
            error_NJ=np.stack(errors) if any(one.error_J is not None for one in told) else None,
            quality_N=np.array(qualities, np.float32) if not np.isnan(qualities).all() else None,
        )
    )


def as_text(told: Sequence[Told]) -> str:
    """Write refined frames as JSON; null where nobody was there."""
    message = {
        "type": "refined",
        "first": told[0].number,
        "poses": [_listed(one.pose_JD) for one in told],
        "error": [_listed(one.error_J) for one in told],
        "quality": [one.quality and round(one.quality, DECIMALS) for one in told],
    }
    for name in ("error", "quality"):
        if all(value is None for value in message[name]):  # type: ignore[attr-defined]
            message[name] = None
    return to_json(message).decode()


def _check_count(count: int) -> None:
    if not 1 <= count <= MOST_FRAMES:
        raise StreamError(POLICY, "poses", f"{count} frames; a message has 1 to {MOST_FRAMES}")


def _poses(poses: list[Any], body: Body) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    info, regular = body.info, Regularity()
    try:
        LAYOUTS[is_nested(poses)].validate_python(poses)
        regular.check(poses)
        if regular.example is None:
            return np.full((len(poses), info.joints, info.dims), np.nan, np.float32), None
        points_FJD, confidence_FJ = points(poses, info.joints, info.dims)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)[0]
        raise StreamError(INVALID, _place(found["loc"]), found["msg"]) from None
    except PydanticCustomError as error:
        raise StreamError(INVALID, "poses", error.message()) from None
    except RequestValidationError as error:
        found = error.errors()[0]
        text = found["msg"].replace("this model takes", "this stream takes")
        raise StreamError(INVALID, _place(found["loc"][2:]), text) from None
    if confidence_FJ is None:
        return points_FJD, None
    return points_FJD, confidence_FJ.astype(np.float32)


def _place(loc: Sequence[int | str]) -> str:
    return "poses" + "".join(f"[{part}]" for part in loc if isinstance(part, int))


def _times(times: Any, frames: int) -> NDArray[np.float64] | None:
    if times is None:
        return None
    numbers = isinstance(times, list) and all(
        isinstance(one, int | float) and not isinstance(one, bool) for one in times
    )
    if not numbers or len(times) != frames:
        raise StreamError(INVALID, "times", f"should be {frames} seconds, one a frame")
    try:
        return np.array(times, dtype=np.float64)
    except OverflowError:
        raise StreamError(INVALID, "times", "is too large") from None


def _listed(values: NDArray[np.float32] | None) -> list[Any] | None:
    if values is None:
        return None
    rounded: list[Any] = np.round(values.astype(np.float64), DECIMALS).tolist()
    return rounded
