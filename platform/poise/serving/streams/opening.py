"""The first message of a stream, and what may be wrong with any: an error, and a close code."""

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from poise.runtime.errors import PoiseError
from poise.runtime.printable import printable

#: Close codes of RFC 6455, as far as they are sent here.
GOING, UNSUPPORTED, INVALID, POLICY, TOO_BIG, FAULT, BUSY = 1001, 1003, 1007, 1008, 1009, 1011, 1013
#: Frames a second that a stream may be of.
MOST_FPS = 240.0
#: Joints that a stream's person may have.
MOST_JOINTS = 256
#: Frames of one message, and its bytes.
MOST_FRAMES = 32
MOST_BYTES = 256 * 1024
#: Frames that each frame waits for, unless the client says otherwise and the window is shorter.
LAG = 4

_Name = Annotated[str, Field(min_length=1, max_length=100)]


class StreamError(PoiseError):
    """Something wrong with a stream, after which it is closed.

    Args:
        code: of the close.
        field: which field of which message is wrong.
        message: what is wrong, and what would be right.
    """

    def __init__(self, code: int, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.code, self.field, self.message = code, field, message


class Opening(BaseModel):
    """What a client says first."""

    model_config = ConfigDict(extra="forbid", strict=True)

    type: Literal["open"]
    model: str | None = Field(None, max_length=200)
    track: str | None = Field(None, max_length=200)
    skeleton: str | None = Field(None, max_length=100)
    joints: list[_Name] | None = Field(None, min_length=1, max_length=MOST_JOINTS)
    dims: Literal[2, 3, 6] | None = None
    unit: Literal["m", "cm", "mm", "px", "normalised"] | None = None
    fps: float | None = Field(None, gt=0, le=MOST_FPS, allow_inf_nan=False)
    lag: int | None = Field(None, ge=0)
    format: Literal["json", "binary"] = "json"
    slow: Literal["drop", "close"] = "drop"
    people: Literal["one", "many"] = "one"
    resume: str | None = Field(None, max_length=100)
    sent: int = Field(0, ge=0)
    received: int = Field(0, ge=0)


def read_opening(message: str | bytes) -> Opening:
    """Read the first message.

    Raises:
        StreamError: it is no opening.
    """
    if isinstance(message, bytes):
        raise StreamError(UNSUPPORTED, "type", "the first message is text: JSON of type open")
    try:
        return Opening.model_validate(read_object(message))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"])) or "message"
        raise StreamError(POLICY, printable(field[:100]), first["msg"]) from None


def read_object(message: str) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        StreamError: it is none.
    """
    try:
        found = json.loads(message)
    except (ValueError, RecursionError) as error:
        raise StreamError(INVALID, "message", f"is no JSON: {error}"[:200]) from None
    if not isinstance(found, dict):
        raise StreamError(INVALID, "message", "is no JSON object")
    return found
