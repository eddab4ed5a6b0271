"""HTTP bodies of the service: what a request holds, and what a response holds.

Validation stops at the first offending number: a body of a million bad ones costs no more.
"""

from typing import Annotated, Any, Literal

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
#: Frames of joints of coordinates, or frames of numbers.
LAYOUTS = ("nested", "flat")

# NaN and null stand for what was not seen. What is too large is found later, in all numbers at
# once: pydantic's bounds refuse NaN.
_Number = Annotated[float, Field(strict=True, allow_inf_nan=True)] | None
_Numbers = Annotated[list[_Number], Field(min_length=1, fail_fast=True)]
_Joints = Annotated[list[_Numbers | None], Field(min_length=1, fail_fast=True)]
NestedFrame = _Joints | None
FlatFrame = _Numbers | None
_Frames = Field(min_length=1, max_length=MAX_FRAMES, fail_fast=True)
_Nested = Annotated[list[NestedFrame], _Frames]
_Flat = Annotated[list[FlatFrame], _Frames]
NO_POSE = ("empty", "every frame is null: there is no pose in it")


def _layout(value: Any) -> str:
    return "nested" if isinstance(value, list) and is_nested(value) else "flat"


def is_nested(poses: list[Any]) -> bool:
    """Say whether frames are lists of joints; what is null tells nothing."""
    entries = (entry for frame in poses if isinstance(frame, list) for entry in frame)
    return isinstance(next((entry for entry in entries if entry is not None), None), list)


class Regularity:
    """Sees, as frames come, that all have the same joints and all joints the same coordinates.

    What is null has any number of them.

    Attributes:
        example: the first frame with anything in it.
        nested: whether frames are lists of joints; None until that is known.
    """

    def __init__(self) -> None:
        self.example: list[Any] | None = None
        self.nested: bool | None = None
        self._width: tuple[int, int] | None = None
        self._dims: tuple[int, int, int] | None = None

    def check(self, frames: list[Any], before: int = 0) -> None:
        """Look at more frames; ``before`` of them came before.

        Raises:
            PydanticCustomError: one is unlike those before it.
        """
        for f, frame in enumerate(frames, before):
            if frame is None:
                continue
            first, width = self._width = self._width or (f, len(frame))
            if len(frame) != width:
                raise PydanticCustomError(
                    "ragged",
                    "frame {frame} has {got} entries and frame {first} has {want}: every frame "
                    "needs the same joints (null stands for a joint that was not seen)",
                    {"frame": f, "got": len(frame), "want": width, "first": first},
                )
            if self.example is None and any(entry is not None for entry in frame):
                self.example, self.nested = frame, is_nested([frame])
            if self.nested:
                self._check_joints(f, frame)

    def _check_joints(self, f: int, frame: list[Any]) -> None:
        if self._dims and {len(joint) for joint in frame if joint is not None} <= {self._dims[2]}:
            return
        for j, joint in enumerate(frame):
            if joint is None:
                continue
            *first, dims = self._dims = self._dims or (f, j, len(joint))
            if len(joint) != dims:
                raise PydanticCustomError(
                    "ragged",
                    "joint {joint} of frame {frame} has {got} coordinates and joint {j} of "
                    "frame {f} has {want}",
                    {"frame": f, "joint": j, "got": len(joint), "want": dims}
                    | {"f": first[0], "j": first[1]},
                )


def _regular(value: list[Any]) -> list[Any]:
    regular = Regularity()
    regular.check(value)
    if regular.example is None:
        raise PydanticCustomError(*NO_POSE)
    return value


Poses = Annotated[
    Annotated[_Nested, Tag("nested")] | Annotated[_Flat, Tag("flat")],
    Discriminator(_layout),
    AfterValidator(_regular),
]


class RefineOptions(BaseModel):
    """What a request says beside its poses."""

    model_config = ConfigDict(extra="forbid")

    track: str | None = Field(
        default=None,
        max_length=200,
        description="Of the poses: where no model is named, its champion refines them, or where "
        "it has none the general network. The model has to be of this track. May be in the query.",
    )
    model: str | None = Field(
        default=None,
        max_length=200,
        description="`name` (its champion), `name@alias` or `name/version` in the registry; by "
        "default the service's own. May be in the query.",
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
    moved: bool = Field(
        default=False,
        strict=True,
        description="Answer with how far each joint of each frame was moved.",
    )
    neighbours: bool = Field(
        default=False,
        strict=True,
        description="Answer with the motion that was retrieved, too.",
    )


class RefineRequest(RefineOptions):
    """One person in one recording: what the estimator saw."""

    poses: Poses = Field(
        description="Frames of joints of coordinates, or frames of joints x coordinates numbers. "
        "Joints in the order of the track; 3D in metres, 2D in the track's units. A joint that was "
        "not seen is null, NaN or all zeros; a frame of nobody is null."
    )


class Correction(BaseModel):
    """How far joints that were seen were moved, in the unit of `poses`."""

    median: float
    max: float
    frame: int = Field(description="Where it was moved most.")
    joint: int


class Timing(BaseModel):
    """Seconds of each stage, waiting included."""

    parse: float = Field(description="From the whole body to poses.")
    queue: float = Field(description="Waiting for the model and its network.")
    network: float = Field(description="Steps of the network, which several requests share.")
    retrieval: float = Field(description="Finding neighbours, in the same steps.")
    format: float = Field(description="From refined poses to text.")


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
    joint_names: list[str] = Field(description="In the order of `poses`.")
    dims: int
    unit: str = Field(description="Unit of `poses`.")
    fps: float | None = Field(description="Frame rate of the track it was trained on.")
    retrieval: Literal["ready", "unavailable", "none"]


class ModelRef(BaseModel):
    """Which model refined a sequence."""

    name: str
    version: str | None
    track: str


class FilledJoint(BaseModel):
    """A joint that was not seen in these frames, and was filled before refining or by it."""

    joint: int
    name: str
    frames: list[int]


class RefineResponse(BaseModel):
    """The refined sequence: same frames, joints, order, units and nesting as the request."""

    poses: list[list[list[float]]] | list[list[float]]
    error: list[list[float]] | None = Field(
        description="Per frame and joint, how far off the refined joint is expected to be, in the "
        "unit of `poses`; null where the refiner does not say."
    )
    moved: list[list[float | None]] | None = Field(
        description="Per frame and joint, how far it was moved; null for a joint that was not "
        "seen. Null altogether unless `moved` was asked for."
    )
    correction: Correction | None = Field(description="Null where nothing was seen.")
    quality: list[float] | None = Field(
        description="Per frame, 0 to 1: near 1 where precise and smooth estimates agree, times the "
        "share of joints that were seen, so 0 where nothing was; null where the refiner has no "
        "such estimate."
    )
    retrieval: Literal["used", "unavailable", "none"] = Field(
        description="Whether neighbours from the pose vector database took part. `unavailable`: "
        "the database did not answer and the poses are refined without it. `none`: this model "
        "uses none."
    )
    distances: Distances | None
    neighbours: list[list[list[float]]] | list[list[float]] | None = Field(
        description="Where `neighbours` was asked for and some took part: for each frame, the mean "
        "of the poses that were retrieved for its windows, in their place."
    )
    model: ModelRef
    name: str | None
    fps: float | None
    frames: int
    seconds: float = Field(description="From the whole body to the refined poses.")
    timing: Timing
    filled: list[FilledJoint] = Field(
        description="Joints that were not seen: null, NaN, zeros, or confidence 0."
    )
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


class Refusal(BaseModel):
    """Why a request was refused, where no field of it is wrong."""

    detail: str


def refused(why: str) -> dict[str, Any]:
    """Describe an answer that is a `Refusal`."""
    return {"model": Refusal, "description": why}
