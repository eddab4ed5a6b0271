"""What a data set's TOML file may say."""

import re
import string
from pathlib import PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
)
from pydantic import model_validator as check

from poise.catalog.splits import Split
from poise.runtime.names import DATASET, DATASET_RULE, ESTIMATOR, ESTIMATOR_RULE
from poise_retrieval.geometry.skeletons import PVD_JOINTS, SKELETONS, SMPL_JOINTS

Representation = Literal["2D", "3D", "smpl"]
REPRESENTATIONS: tuple[Representation, ...] = ("2D", "3D", "smpl")

#: Length of a unit, by the names that files and options have for it.
METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001, "in": 0.0254}
#: Stands for every estimator that no track of the data set names.
ANY = "*"
NOISE_NAME = re.compile(r"(gaussian|uniform)-(\d+)|simulated")
IMAGE_GROUPS = ("subject", "camera", "action", "take")
_SIDE = re.compile("^(left|right)(?=_)")
_OTHER = {"left": "right", "right": "left"}
_PLACEHOLDERS = ("dataset", "estimator", "representation", "split")

Name = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Names = tuple[Name, ...]


def _usable_name(text: str) -> str:
    if not DATASET.fullmatch(text):
        raise ValueError(f"{text!r}: {DATASET_RULE}")
    return text


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Published(_Part):
    """What is published about an estimator: splits, and the errors of its raw output."""

    splits: tuple[Split, ...] = ()
    mpjpe: float | None = None
    pa_mpjpe: float | None = None
    accel: float | None = None


class Pixels(_Part):
    """How pixels are normalised: (x - centre) / scale."""

    centre: tuple[float, float]
    scale: float = Field(gt=0)


class Files(_Part):
    """Paths of the files below the data folder, with placeholders such as {estimator}.

    A star stands for anything but a slash: the split then has as many files as fit.
    """

    detected: str
    truth: str | None = None

    @field_validator("detected", "truth")
    @classmethod
    def _is_inside(cls, template: str | None) -> str | None:
        if template is None:
            return None
        try:
            named = {field for _, field, _, _ in string.Formatter().parse(template) if field}
        except ValueError as error:
            raise ValueError(f"{template!r}: {error}") from None
        if not named <= set(_PLACEHOLDERS):
            known = ", ".join(f"{{{one}}}" for one in _PLACEHOLDERS)
            raise ValueError(f"{template!r}: placeholders are {known}")
        if "split" not in named:
            raise ValueError(f"{template!r} needs {{split}}: train and test are different files")
        if "**" in template or set("?[]") & set(template):
            raise ValueError(f"{template!r}: * stands for a part of a name, nothing else for any")
        path = PurePosixPath(template)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(f"{template!r}: write it relative to the data folder")
        return template

    @check(mode="after")
    def _pairs(self) -> Self:
        if self.truth is not None and self.truth.count("*") != self.detected.count("*"):
            raise ValueError(
                "files.truth needs as many * as files.detected: what they stand for tells which "
                "files go together"
            )
        return self


class TrackPart(_Part):
    """The tracks of one representation whose files have the same form, one for each estimator.

    Attributes:
        estimators: names of the estimators; ``*`` stands for every name no other part has.
        skeleton: the joint order by its name in `poise_retrieval.geometry.skeletons`.
        joints: the joint order by joint names, where no skeleton has it.
        pvd: the 14 of ``joints`` that match the pose template (see docs/own-data.md).
        stored: joint order of the files where it differs. Joints are then picked by name; files
            that hold only the picked joints are read as well.
        roots: joints whose mean is the root in metrics and centring.
        unit: unit of the files: one of `METRES`, or px.
        lateral: horizontal axis along which poses may be reflected: the camera's, or any
            horizontal one where people face all directions. Needs joints named left_ and right_.
        up: the vertical axis of the world that 3D poses lie in, in either direction.
        pixels: how 2D is normalised; ``image`` means x / width - 0.5 and y / height - 0.5.
        fps: frames a second, where it differs from the data set's.
        noise: whether this is the denoise task: detections are truth + noise, and estimators are
            noise levels, or ``simulated`` for the errors of real estimators. In 2D they are
            simulated alone, in images of simulated cameras that see the truth in 3D.
        published: what is published about each estimator.
    """

    representation: Representation
    estimators: Annotated[Names, Field(min_length=1)]
    skeleton: str | None = None
    joints: Names | None = None
    pvd: Names | None = None
    stored: Names | None = None
    roots: Names = ()
    unit: Literal["m", "cm", "mm", "in", "px"] | None = None
    lateral: Literal["x", "y", "z"] | None = None
    up: Literal["x", "y", "z"] | None = None
    pixels: Pixels | Literal["image"] | None = None
    fps: float | None = Field(default=None, gt=0)
    noise: bool = False
    published: dict[str, Published] = {}

    @property
    def joint_names(self) -> Names:
        """Joints inside Poise, in order."""
        if self.skeleton is not None:
            return SKELETONS[self.skeleton].joints
        return self.joints or SMPL_JOINTS

    @property
    def mirrored_names(self) -> Names:
        """The name of each joint's counterpart on the other side of the body."""
        return tuple(_SIDE.sub(lambda side: _OTHER[side[0]], name) for name in self.joint_names)

    @check(mode="after")
    def _names_agree(self) -> Self:
        for estimator in self.estimators:
            if estimator != ANY and not ESTIMATOR.fullmatch(estimator):
                raise ValueError(f"estimators: {estimator!r}: {ESTIMATOR_RULE}")
            if self.noise and estimator != ANY and not NOISE_NAME.fullmatch(estimator):
                raise ValueError(
                    f"estimators: {estimator!r} is no noise; write for example gaussian-10, or "
                    "simulated"
                )
        for name in self.published:
            if name not in self.estimators or name == ANY:
                raise ValueError(f"published: {name!r} is not among the estimators")
        return self

    @check(mode="after")
    def _joints_agree(self) -> Self:
        if self.representation == "smpl":
            for key in (
                "skeleton",
                "joints",
                "pvd",
                "stored",
                "unit",
                "pixels",
                "noise",
                "roots",
                "lateral",
                "up",
            ):
                if getattr(self, key):
                    raise ValueError(f"{key}: not for smpl, whose poses are 24 axis-angles")
            return self
        orders = ", ".join(sorted(SKELETONS))
        if (self.skeleton is None) == (self.joints is None):
            raise ValueError(
                f"give either skeleton (one of {orders}) or joints (names in the files' order)"
            )
        if self.skeleton is not None and self.skeleton not in SKELETONS:
            raise ValueError(
                f"skeleton: {self.skeleton!r} is unknown; there are {orders}, or name "
                "your own order with joints"
            )
        _all_different("joints", self.joints or ())
        _all_in("roots", self.roots, "joints", self.joint_names)
        if self.stored is not None:
            _all_different("stored", self.stored)
            _all_in("stored lacks joints: it", self.joint_names, "stored", self.stored)
        if self.lateral is not None:
            if self.mirrored_names == self.joint_names:
                raise ValueError("lateral: no joint is named left_... or right_...")
            _all_in("lateral", self.mirrored_names, "joints", self.joint_names)
        if self.pvd is not None:
            if self.joints is None:
                raise ValueError("pvd: a skeleton has its own map; remove it")
            if len(self.pvd) != PVD_JOINTS:
                raise ValueError(f"pvd: name {PVD_JOINTS} joints, got {len(self.pvd)}")
            _all_different("pvd", self.pvd)
            _all_in("pvd", self.pvd, "joints", self.joint_names)
        return self

    @check(mode="after")
    def _units_agree(self) -> Self:
        if self.representation == "3D":
            if self.unit not in METRES:
                raise ValueError('unit: write "m", "cm", "mm" or "in" for 3D')
            if self.pixels is not None:
                raise ValueError("pixels: only for 2D; remove it")
            if self.up is not None and self.up == self.lateral:
                raise ValueError("up: the vertical axis is not the lateral one")
            if not self.roots:
                raise ValueError('roots: 3D needs one joint or more, for example ["pelvis"]')
        if self.representation == "2D":
            if self.unit not in (None, "px"):
                raise ValueError('unit: write "px" for 2D')
            if self.pixels is None:
                raise ValueError(
                    'pixels: 2D needs { centre = [x, y], scale = s }, or "image" where the files '
                    "have imgshape"
                )
            if self.noise and self.estimators != ("simulated",):
                raise ValueError(
                    'noise: only for 3D; in 2D there is estimators = ["simulated"] alone, in '
                    "images of simulated cameras"
                )
            if self.up is not None:
                raise ValueError("up: only for 3D; remove it")
            if self.lateral == "z":
                raise ValueError("lateral: 2D has x and y")
        return self


class DataSet(_Part):
    """A data set: its tracks, and how its image paths and files are named."""

    name: Annotated[str, AfterValidator(_usable_name)]
    title: str = ""
    fps: float | None = Field(default=None, gt=0)
    imgname: tuple[str, ...] = ()
    files: Files | None = None
    generated: bool = False
    tracks: Annotated[tuple[TrackPart, ...], Field(min_length=1)]

    def __hash__(self) -> int:
        return hash(self.name)

    def part(self, representation: str, estimator: str) -> TrackPart | None:
        """Return the part that names an estimator, else the one with ``*``, else None."""
        parts = [part for part in self.tracks if part.representation == representation]
        for wanted in (estimator, ANY):
            for part in parts:
                if wanted in part.estimators:
                    return part
        return None

    @field_validator("imgname")
    @classmethod
    def _compile(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            try:
                groups = set(re.compile(pattern).groupindex)
            except re.error as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
            if not groups <= set(IMAGE_GROUPS):
                raise ValueError(f"{pattern!r}: named groups are {', '.join(IMAGE_GROUPS)}")
        return patterns

    @check(mode="after")
    def _one_part_each(self) -> Self:
        seen: set[tuple[str, str]] = set()
        for part in self.tracks:
            for estimator in part.estimators:
                if (part.representation, estimator) in seen:
                    raise ValueError(f"tracks: {part.representation} of {estimator} is there twice")
                seen.add((part.representation, estimator))
                if estimator == ANY and self.files and "{estimator}" not in self.files.detected:
                    raise ValueError(
                        'files.detected: estimators = ["*"] needs {estimator} in the path'
                    )
            images = part.noise and part.representation == "2D"
            space = self.part("3D", "simulated") if images else None
            if images and (space is None or not space.noise or space.up is None):
                raise ValueError(
                    "tracks: simulated images show the ground truth in 3D; describe it with "
                    "noise = true and up"
                )
            if part.noise and self.files and self.files.truth is None:
                raise ValueError("files.truth: denoise tracks are made from ground truth; name it")
        return self


def _all_different(key: str, names: Names) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{key}: {', '.join(twice)} is there twice")


def _all_in(key: str, names: Names, whole: str, known: Names) -> None:
    missing = [name for name in names if name not in known]
    if missing:
        raise ValueError(f"{key}: {', '.join(missing)} not among {whole}: {', '.join(known)}")
