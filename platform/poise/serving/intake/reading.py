"""A request read from the bytes of its body, in short steps, up to the first thing wrong with it.

What is checked costs little where it fails: an unknown key ends the reading before its value is
looked at, poses of another model at their first frame.
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from fastapi import HTTPException
from fastapi.exceptions import RequestValidationError
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from poise.catalog.tracks import TrackInfo
from poise.checkpoints.inference import as_taken
from poise.runtime.text.files import encoding
from poise.serving import schema
from poise.serving.intake.json_text import JsonError, JsonText, TooLongError
from poise.serving.intake.validation import (
    Frames,
    as_frames,
    check_shape,
    field_error,
)
from poise.serving.model import ServedModel

#: Frames between two steps: some two milliseconds.
_PIECE = 64
#: Characters of a frame, and of a key or any other value.
_LONGEST_FRAME = 64 * 1024
_LONGEST_VALUE = 4096

#: What frames are, by whether they are nested.
LAYOUTS: dict[bool, TypeAdapter[list[Any]]] = {
    True: TypeAdapter(list[schema.NestedFrame]),
    False: TypeAdapter(list[schema.FlatFrame]),
}
_EXPECTED = (
    "poses are one sequence, [frame, ...], of frames [[x, y, z], ...] or [x, y, z, x, y, ...] that "
    "hold numbers and null"
)
#: The error of a body that is no JSON object.
NO_OBJECT: dict[str, Any] = {"loc": ("body",), "type": "model_attributes_type"}
_MISSING: dict[str, Any] = {"loc": ("body", "poses"), "type": "missing", "msg": "Field required"}


@dataclass(frozen=True)
class GivenRequest:
    """A request whose poses are the model's.

    Attributes:
        options: all of it but the poses.
        nested: whether its frames are lists of joints.
        frames: its poses, without gaps.
        detected_FC: the same as the model's refiner takes them: some want gaps as NaN.
    """

    options: schema.RefineOptions
    nested: bool
    frames: Frames
    detected_FC: NDArray[np.float32]


@dataclass(frozen=True)
class ReadBody:
    """A request as it came: whose poses they are is not known yet."""

    options: schema.RefineOptions
    poses: list[Any]


def read_body(
    model: ServedModel, body: bytes, chosen: bool = False
) -> Generator[None, None, ReadBody]:
    """Read a request.

    Args:
        model: what is likely to refine it: poses of others end the reading at their first frame,
            unless the body itself names another model.
        body: JSON, in UTF-8 or UTF-16.
        chosen: whether no other model will be, whatever the body says.

    Raises:
        RequestValidationError: it is no request.
        HTTPException: 400, the body is no text.
    """
    try:
        text = JsonText(body.decode(encoding(body)))
    except UnicodeDecodeError:
        raise HTTPException(400, "the body is no JSON: it is not text in UTF-8") from None
    yield
    sure = chosen or not any(map(text.mentions, ('"model"', '"track"', "\\")))
    try:
        given = yield from _members(model.info if sure else None, text)
        text.end()
    except JsonError as error:
        place = {"loc": ("body", error.at), "type": "json_invalid", "ctx": {"error": str(error)}}
        raise RequestValidationError([place]) from None
    poses = given.pop("poses", None)
    options = _options(given, complete=poses is not None)
    assert poses is not None  # noqa: S101  (`_options` raised)
    return ReadBody(options, poses)


def fitted(model: ServedModel, read: ReadBody) -> Generator[None, None, GivenRequest]:
    """Make poses those of a model.

    Raises:
        RequestValidationError: they are not.
    """
    yield
    frames = as_frames(read.poses, model.info, model.unit)
    detected_FC = as_taken(model.refiner, frames.poses_FC, frames.unseen_FJ)
    return GivenRequest(read.options, schema.is_nested(read.poses), frames, detected_FC)


def is_json(content_type: str) -> bool:
    """Say whether a header ``Content-Type`` announces JSON."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or (
        kind.startswith("application/") and kind.endswith("+json")
    )


def _members(info: TrackInfo | None, text: JsonText) -> Generator[None, None, dict[str, Any]]:
    if text.peek() != "{":
        raise RequestValidationError([NO_OBJECT])
    given: dict[str, Any] = {}
    try:
        for key in text.keys(_LONGEST_VALUE):
            if key not in schema.RefineRequest.model_fields:
                raise field_error(key, "extra_forbidden", "there is no such field")
            if key in given:
                raise field_error(key, "repeated", "it is given twice")
            if key == "poses":
                given[key] = yield from _poses(info, text)
            else:
                given[key] = _value(text, key)
    except TooLongError:
        message = f"the name of a field is longer than {_LONGEST_VALUE} characters"
        raise RequestValidationError(
            [{"loc": ("body",), "type": "too_long", "msg": message}]
        ) from None
    return given


def _value(text: JsonText, key: str) -> Any:
    try:
        return text.value(_LONGEST_VALUE)
    except TooLongError:
        message = f"it is longer than {_LONGEST_VALUE} characters"
        raise field_error(key, "too_long", message) from None


def _poses(info: TrackInfo | None, text: JsonText) -> Generator[None, None, list[Any]]:
    """Frames, every one of which is checked as soon as it is read, `_PIECE` of them at a time."""
    if text.peek() != "[":
        raise field_error("poses", "list_type", "it should be a list of frames")
    read, regular, poses = _frames(text), schema.Regularity(), list[Any]()
    while piece := list(islice(read, _PIECE if poses else 1)):
        if len(poses) + len(piece) > schema.MAX_FRAMES:
            message = f"there are more than {schema.MAX_FRAMES} frames: split the sequence"
            raise field_error("poses", "too_long", message)
        unknown = regular.example is None
        poses += _checked(piece, len(poses), regular)
        if info is not None and unknown and regular.example is not None:
            check_shape(regular.example, info)
        yield
    if not poses:
        raise field_error("poses", "too_short", "there is no frame in it")
    if regular.example is None:
        raise field_error("poses", *schema.NO_POSE)
    return poses


def _frames(text: JsonText) -> Iterator[Any]:
    count = 0
    try:
        for frame in text.items(_LONGEST_FRAME):
            yield frame
            count += 1
    except TooLongError:
        message = f"it is longer than {_LONGEST_FRAME} characters: too many for a frame"
        raise field_error("poses", "too_long", message, count) from None


def _checked(piece: list[Any], before: int, regular: schema.Regularity) -> list[Any]:
    """A piece of the poses, its entries checked; ``before`` are the frames before it."""
    nested = schema.is_nested(piece) if regular.nested is None else regular.nested
    try:
        frames: list[Any] = LAYOUTS[nested].validate_python(piece)
        regular.check(frames, before)
    except ValidationError as error:
        problem = _errors(error)[0]
        found = error.errors(include_url=False)[0].get("input")
        if problem["type"] in ("float_type", "list_type") and isinstance(found, list | dict):
            kind = "a list" if isinstance(found, list) else "an object"
            problem |= {"msg": f"is {kind}: {_EXPECTED}"}
        first, *place = problem["loc"]
        loc = ("body", "poses", before + int(first), *place)
        raise RequestValidationError([{**problem, "loc": loc}]) from None
    except PydanticCustomError as error:
        raise field_error("poses", error.type, error.message()) from None
    return frames


def _options(given: dict[str, Any], complete: bool) -> schema.RefineOptions:
    missing = [] if complete else [_MISSING]
    try:
        options = schema.RefineOptions.model_validate(given)
    except ValidationError as error:
        found = [{**one, "loc": ("body", *one["loc"])} for one in _errors(error)]
        raise RequestValidationError(missing + found) from None
    if missing:
        raise RequestValidationError(missing)
    return options


def _errors(error: ValidationError) -> list[dict[str, Any]]:
    return [dict(one) for one in error.errors(include_url=False, include_input=False)]
