"""What a client asks of a file: the query of ``POST /v1/refine``, where its body is one."""

from typing import Annotated, Any, Final, Literal

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field

from poise.catalog.joint_sets import joint_sets
from poise.checkpoints.shipped import GENERAL
from poise.motion.files import formats
from poise.motion.units import Axis, Unit
from poise.refining.options import FILTERS, LOWEST_CUTOFF

#: What a body may be: one file, several that are one recording, or anything with a name.
OCTETS: Final = "application/octet-stream"
FORM: Final = "multipart/form-data"
#: Arrays of everything that is known of the motion before and after.
NPZ: Final = "application/x-npz"
#: What a file is sent as, by its ending; as `OCTETS` where that says nothing.
ENDINGS: Final = {
    ".json": "application/json",
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".parquet": "application/vnd.apache.parquet",
    ".arrow": "application/vnd.apache.arrow.file",
}
ARCHIVE: Final = "application/zip"
#: Types of files that are known by them, and the format of each: a body of one is a file, and an
#: answer is one where ``Accept`` asks for it. As a body `NPZ` is one, too; its answer has more.
TYPES: Final = {
    "application/vnd.apache.arrow.file": "arrow",
    "application/vnd.apache.parquet": "parquet",
    "text/csv": "csv",
}
#: Those that are read, and not written.
_READ: Final = (OCTETS, FORM, NPZ, "application/vnd.apache.arrow.stream", ENDINGS[".tsv"])
_FREE: Final = 255

_Name = Annotated[str, Field(min_length=1, max_length=_FREE)]


class FileOptions(BaseModel):
    """As the options of ``poise refine``; what is left out is as there.

    ``model`` and ``track`` are for requests of JSON too.
    """

    model_config = ConfigDict(extra="forbid")

    model: _Name | None = Field(
        None, description="A registered model: `name`, `name@alias`, `name/version`."
    )
    track: _Name | None = Field(
        None, description="The champion of this track, or where there is none the general model."
    )
    filename: _Name | None = Field(
        None, description="Name of the file; formats are told by content, and endings help."
    )
    format: _Name | None = Field(None, description="A format of `GET /v1/files`.")
    skeleton: _Name | None = Field(None, description="A joint set for joints without names.")
    fps: float | None = Field(None, gt=0, le=10_000, allow_inf_nan=False)
    unit: Unit | None = None
    up: Axis | None = None
    refiner: _Name | None = Field(None, description=f"A filter, {GENERAL}, or the model served.")
    cutoff: Annotated[float, Field(ge=LOWEST_CUTOFF, le=10_000)] | Literal["auto"] = Field(
        6.0, description="Of a filter, in Hz."
    )
    lag: int | None = Field(
        None, ge=0, le=1000, description="Frames that each frame waits for, as in a stream."
    )
    fill: Annotated[float, Field(ge=0, le=1e6)] | Literal["all", "none"] = Field(
        0.5, description="Longest gap to fill, in seconds."
    )
    min_confidence: float = Field(0.3, ge=-1e6, le=1e6)
    follow: bool | None = Field(
        None, description="Find out who is who, or not; by default where the file does not say."
    )
    rigid: bool = Field(False, description="Hold bones at their median lengths.")
    feet: bool = Field(False, description="Hold feet where they stand.")
    to: _Name | None = Field(None, description="Format of the answer; by default the file's own.")


def is_file(content_type: str, options: FileOptions) -> bool:
    """Say whether a body is a file, by its type or because it has a name."""
    kind = content_type.partition(";")[0].strip().lower()
    return options.filename is not None or kind in _READ or kind in TYPES


def accepted(accept: str, options: FileOptions) -> tuple[str, str | None]:
    """What an answer is to be: `NPZ`, JSON or neither, and the format of a file.

    Args:
        accept: the header; the first of its types that is known counts, whatever their weights.
        options: of the client, whose ``to`` comes first.
    """
    for part in accept.split(","):
        kind = part.partition(";")[0].strip().lower()
        if kind in (NPZ, ENDINGS[".json"]):
            return kind, options.to
        if kind in TYPES:
            return "", options.to or TYPES[kind]
    return "", options.to


def checked(options: FileOptions, models: dict[str, str], accept: str = "") -> dict[str, Any]:
    """What a worker is asked, as plain values.

    Args:
        options: of the client.
        models: checkpoint folders by the names that clients may use; nothing else is opened.
        accept: the header ``Accept``.

    Raises:
        RequestValidationError: a name leads nowhere.
    """
    known = {one.name for one in formats()}
    refiner = options.refiner or GENERAL
    for field, value, all_ in (
        ("format", options.format, known),
        ("to", options.to, known),
        ("skeleton", options.skeleton, joint_sets()),
        ("refiner", refiner, (*FILTERS, *models)),
    ):
        if value is not None and value not in all_:
            message = f"there is none of that name; there are {', '.join(sorted(all_))}"
            raise RequestValidationError(
                [{"loc": ("query", field), "type": "unknown", "msg": message}]
            )
    kind, to = accepted(accept, options)
    fill = {"all": 1e9, "none": 0.0}.get(str(options.fill), options.fill)
    asked = options.model_dump(include={"cutoff", "lag", "min_confidence", "rigid", "feet"})
    return {
        "options": {
            **asked,
            "refiner": models.get(refiner, refiner),
            "fill": fill,
            "track": options.follow,
        },
        "reading": options.model_dump(include={"format", "skeleton", "fps", "unit", "up"}),
        "to": to,
        "accept": kind,
        "filename": options.filename,
    }


def described() -> dict[str, Any]:
    """What may be asked, whatever is served: formats, filters, joint sets."""
    return {
        "formats": [
            {
                "name": one.name,
                "about": one.about,
                "endings": list(one.endings),
                "written": one.write is not None,
                "dims": list(one.dims),
            }
            for one in formats()
        ],
        "filters": list(FILTERS),
        "skeletons": list(joint_sets()),
    }
