"""Frames of a stream as messages: read from JSON or bytes, and written as either.

Shape letters: F frames, J joints, D dimensions.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final, Literal

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
from poise.serving.streams.people import ToldTogether, placed
from poise.serving.streams.timeline import Told

_KEYS: Final = {"one": {"type", "poses", "times"}, "many": {"type", "poses", "times", "ids"}}
_ID: Final = 2**31


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


def from_object(message: dict[str, Any], body: Body, people: Literal["one", "many"]) -> Frames:
    """Read frames of a JSON object ``{"type": "frames", "poses": [...], "times": [...]}``.

    Of many people a frame is a list of poses, and there may be ``ids``.

    Raises:
        StreamError: they are none, or none of this body.
    """
    unknown = next((key for key in message if key not in _KEYS[people]), None)
    if unknown is not None:
        raise StreamError(POLICY, printable(unknown[:100]), "there is no such field")
    poses = message.get("poses")
    if not isinstance(poses, list):
        raise StreamError(INVALID, "poses", "should be a list of frames")
    _check_count(len(poses))
    times_F = _times(message.get("times"), len(poses))
    if people == "one":
        poses_FJD, confidence_FJ = _poses(poses, body)
        return Frames(poses_FJD, 0, times_F, confidence_FJ)
    wrong = next((at for at, one in enumerate(poses) if not isinstance(one, list | None)), None)
    if wrong is not None:
        raise StreamError(INVALID, f"poses[{wrong}]", "should be a list of people's poses")
    people_F = np.array([len(one or ()) for one in poses])
    try:
        poses_NJD, confidence_NJ = _poses([pose for one in poses for pose in one or ()], body)
    except StreamError as error:
        raise placed(error, people_F) from None
    ids_N = _ids(message.get("ids"), people_F)
    return Frames(poses_NJD, 0, times_F, confidence_NJ, people_F=people_F, ids_N=ids_N)


def as_bytes(told: Sequence[Told | ToldTogether], body: Body) -> bytes:
    """Write refined frames in the binary layout; NaN where nobody was there."""
    shape = (body.info.joints, body.info.dims)
    nowhere_JD = np.full(shape, np.nan, np.float32)
    nothing_J = np.full(shape[0], np.nan, np.float32)
    ones, people_F, ids_N = _apart(told)
    poses = [nowhere_JD if one.pose_JD is None else one.pose_JD for one in ones]
    errors = [nothing_J if one.error_J is None else one.error_J for one in ones]
    qualities = [np.nan if one.quality is None else one.quality for one in ones]
    return encode(
        Frames(
            np.stack(poses) if poses else np.empty((0, *shape), np.float32),
            told[0].number,
            error_NJ=np.stack(errors) if any(one.error_J is not None for one in ones) else None,
            quality_N=np.array(qualities, np.float32) if not np.isnan(qualities).all() else None,
            people_F=people_F,
            ids_N=ids_N,
        )
    )


def as_text(told: Sequence[Told | ToldTogether]) -> str:
    """Write refined frames as JSON; null where nobody was there."""
    ones, people_F, ids_N = _apart(told)
    message: dict[str, Any] = {
        "type": "refined",
        "first": told[0].number,
        "poses": [_listed(one.pose_JD) for one in ones],
        "error": [_listed(one.error_J) for one in ones],
        "quality": [one.quality and round(one.quality, DECIMALS) for one in ones],
    }
    for name in ("error", "quality"):
        if all(value is None for value in message[name]):
            message[name] = None
    if people_F is not None and ids_N is not None:
        message["ids"] = ids_N.tolist()
        ends = [0, *np.cumsum(people_F).tolist()]
        for name in ("poses", "error", "quality", "ids"):
            values = message[name]
            if values is not None:
                message[name] = [values[start:end] for start, end in pairwise(ends)]
    return to_json(message).decode()


def _apart(
    told: Sequence[Told | ToldTogether],
) -> tuple[list[Told], NDArray[np.int64] | None, NDArray[np.int64] | None]:
    """What is told of each, and of many how many each frame has, and who they are."""
    together = [one for one in told if isinstance(one, ToldTogether)]
    if not together:
        return [one for one in told if isinstance(one, Told)], None, None
    ids_N = np.array([who for frame in together for who, _ in frame.people], np.int64)
    people_F = np.array([len(frame.people) for frame in together])
    return [one for frame in together for _, one in frame.people], people_F, ids_N


def _ids(ids: Any, people_F: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Who everybody is, flat; None where nobody says."""
    if ids is None:
        return None
    good = isinstance(ids, list) and len(ids) == len(people_F)
    for frame in ids if good else ():
        good &= isinstance(frame, list | None) and all(
            type(one) is int and 0 <= one < _ID for one in frame or ()
        )
    if not good or [len(frame or ()) for frame in ids] != people_F.tolist():
        text = "should be for each frame a list of numbers from 0, one a person"
        raise StreamError(INVALID, "ids", text)
    return np.array([one for frame in ids for one in frame or ()], np.int64)


def _check_count(count: int) -> None:
    if not 1 <= count <= MOST_FRAMES:
        raise StreamError(POLICY, "poses", f"{count} frames; a message has 1 to {MOST_FRAMES}")


def _poses(poses: list[Any], body: Body) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    info, regular = body.info, Regularity()
    if not poses:
        return np.empty((0, info.joints, info.dims), np.float32), None
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
