"""Experiment plans: YAML in, a validated plan out.

A plan names tracks x refiners x overrides x seeds, and maybe folds; `poise.experiments.grid` makes
trials of it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from poise.catalog.tracks import Track
from poise.experiments.plan_files.extends import read_extended
from poise.experiments.plan_files.reading import find
from poise.experiments.space import Draw, SearchPart, Space
from poise.runtime import names
from poise.runtime.errors import PlanError, TrackError
from poise.runtime.text.yaml_file import near
from poise_models import catalogue
from poise_models.base.budget import Optimiser, Schedule
from poise_models.errors import RefinerError


def _known_track(text: str) -> str:
    try:
        return str(Track.parse(text))
    except TrackError as error:
        raise ValueError(str(error)) from error


def _usable_name(text: str) -> str:
    if not names.ESTIMATOR.fullmatch(text):
        raise ValueError(
            f"{text[: names.LONGEST]!r} cannot be a folder's name: write one of letters, digits "
            f"and . _ + - only, a letter or digit first, and at most {names.LONGEST} of them"
        )
    return text


def _known_refiner(name: str) -> str:
    try:
        catalogue.learns(name)
    except RefinerError as error:
        raise ValueError(str(error)) from error
    return name


_RefinerName = Annotated[str, AfterValidator(_known_refiner)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BudgetPart(_Part):
    """How long and how fast to train; what is left out comes from the next wider place.

    The widest place is what the network's authors published.
    """

    epochs: int | None = Field(None, ge=1)
    batch: int | None = Field(None, ge=1)
    steps_per_epoch: int | None = Field(None, ge=1)
    learning_rate: float | None = Field(None, gt=0)
    decay: float | None = Field(None, gt=0, le=1)
    schedule: Schedule | None = None
    optimiser: Optimiser | None = None
    warm_up: float | None = Field(None, ge=0, lt=1)
    floor: float | None = Field(None, ge=0, le=1)
    clip: float | None = Field(None, gt=0)
    ema: float | None = Field(None, ge=0, lt=1)
    scale: float | None = Field(None, ge=0, lt=1)
    mirror: bool | None = None
    heading: float | None = Field(None, ge=0, lt=4)
    bf16: bool | None = None
    compile: bool | None = None

    def given(self) -> dict[str, Any]:
        """Return the fields that the plan gives."""
        return self.model_dump(exclude_none=True)


def _check_settings(refiners: Sequence[str], settings: Mapping[str, Any]) -> None:
    for name in refiners:
        try:
            catalogue.check_settings(name, settings)
        except RefinerError as error:
            raise ValueError(str(error)) from error


class RefinerPart(_Part):
    """One refiner; ``label`` tells two of the same name apart.

    ``tuned`` chooses a filter's settings on the training subjects held out, see
    `poise.experiments.candidates`.
    """

    name: _RefinerName
    label: str = ""
    tuned: bool = False
    settings: dict[str, Any] = {}
    budget: BudgetPart = BudgetPart()

    @field_validator("settings")
    @classmethod
    def _known_settings(cls, settings: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        # What they come to together, an override's too, is seen when the grid is made.
        _check_settings([info.data["name"]] if "name" in info.data else [], settings)
        return settings


class OverridePart(_Part):
    """One variant of the refiners it names (all networks, where it names none)."""

    label: str
    refiners: tuple[_RefinerName, ...] = ()
    settings: dict[str, Any] = {}
    budget: BudgetPart = BudgetPart()

    @field_validator("settings")
    @classmethod
    def _known_settings(cls, settings: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        _check_settings(info.data.get("refiners", ()), settings)
        return settings


class ResourcesPart(_Part):
    """What one trial occupies.

    Where ``gpu`` is asked for and the cluster has none, the sweep is refused; with ``cpu_ok`` it
    trains on the CPU.

    ``stream_gb`` is for tracks that do not fit: the training split is then read from the lake in
    shuffled blocks, and so many GiB of it (with a PVD, its poses and neighbours too) are in memory
    at once. Where it is left out, all of it is.

    ``workers`` train the network of one trial together, each on its share of every batch; ``cpu``,
    ``gpu`` and ``stream_gb`` are then of each.
    """

    cpu: float = Field(1.0, gt=0)
    gpu: float = Field(0.0, ge=0)
    cpu_ok: bool = False
    stream_gb: float | None = Field(None, gt=0)
    workers: int = Field(1, ge=1)

    @model_validator(mode="after")
    def _whole_gpus(self) -> Self:
        if self.workers > 1 and 0 < self.gpu < 1:
            raise ValueError("workers share no GPU: with workers, gpu is 0 or 1")
        return self


class ValidationPart(_Part):
    """Training subjects held out to choose checkpoints and the champion.

    ``auto`` is the last subject in natural order. With ``refit`` every refiner is then fitted anew,
    for its whole budget, on all training subjects.

    ``folds`` cross-validates: all people of a track, of both its splits, are dealt to so many
    folds, and every trial is run once for each, with the people of that fold as its test split.
    """

    subjects: Literal["auto"] | tuple[str, ...] = "auto"
    refit: bool = False
    folds: int | None = Field(None, ge=2)


def _refiner(given: Any) -> Any:
    return {"name": given} if isinstance(given, str) else given


class Plan(_Part):
    """A validated plan."""

    name: Annotated[str, AfterValidator(_usable_name)]
    tracks: tuple[Annotated[str, AfterValidator(_known_track)], ...] = Field(min_length=1)
    refiners: tuple[Annotated[RefinerPart, BeforeValidator(_refiner)], ...] = Field(min_length=1)
    overrides: tuple[OverridePart, ...] = ()
    seeds: tuple[int, ...] = Field((0,), min_length=1)
    budget: BudgetPart = BudgetPart()
    resources: ResourcesPart = ResourcesPart()
    validation: ValidationPart = ValidationPart()
    search: SearchPart | None = None

    @model_validator(mode="after")
    def _searches_one_network(self) -> Self:
        if self.search is None:
            return self
        if (len(self.tracks), len(self.refiners), self.overrides) != (1, 1, ()):
            raise ValueError("search: a search is of one track and one refiner, without overrides")
        if self.validation.folds:
            raise ValueError(
                "search: whom settings were chosen on would be tested in validation.folds: leave "
                "them out"
            )
        if self.search.gpu_hours and not self.resources.gpu:
            raise ValueError("search.gpu_hours: resources.gpu asks for no GPU")
        return self

    @model_validator(mode="after")
    def _folds_of_everybody(self) -> Self:
        if self.validation.folds and self.validation.subjects != "auto":
            raise ValueError(
                "validation.folds tests everybody in turn, so that nobody can be held out in every "
                "trial: leave validation.subjects (--hold-out) out"
            )
        if self.validation.folds and self.resources.stream_gb:
            raise ValueError(
                "validation.folds needs the people of both splits in memory: leave "
                "resources.stream_gb out"
            )
        return self

    def changed(
        self,
        tracks: Sequence[str] = (),
        epochs: int | None = None,
        hold_out: Sequence[str] = (),
        cpu_ok: bool = False,
        seeds: int = 0,
    ) -> "Plan":
        """Return the plan with other tracks, epochs of all networks, subjects held out, or seeds.

        Args:
            tracks: instead of the plan's.
            epochs: of every network, instead of the plan's.
            hold_out: subjects to validate on, instead of the plan's.
            cpu_ok: train on the CPU where there is no GPU, whatever the plan says.
            seeds: have all seeds below this number, beside the plan's.

        Raises:
            PlanError: one of them is not valid.
        """
        given = self.model_dump()
        if tracks:
            given["tracks"] = list(tracks)
        if epochs is not None:
            for part in (given, *given["refiners"], *given["overrides"]):
                part["budget"]["epochs"] = epochs
        if hold_out:
            given["validation"]["subjects"] = tuple(hold_out)
        if cpu_ok:
            given["resources"]["cpu_ok"] = True
        given["seeds"] = tuple(dict.fromkeys((*self.seeds, *range(seeds))))
        return _validated(given, "the command line")


def load_plan(name: str | Path) -> Plan:
    """Read ``jobs/plans/<name>.yaml`` of the repository, or the YAML file at a path.

    Raises:
        PlanError: there is no such plan, or it is not valid; the message names the key.
    """
    path = find(str(name))
    return _validated(read_extended(path), str(path))


def _validated(given: Mapping[str, Any], source: str) -> Plan:
    try:
        return Plan.model_validate(given)
    except ValidationError as error:
        problems = [_explain(problem) for problem in error.errors()]
        raise PlanError("\n  ".join([f"{source} is not a valid plan:", *problems])) from None


def _explain(problem: ErrorDetails) -> str:
    path = ""
    for step in problem["loc"]:
        path += f"[{step}]" if isinstance(step, int) else f".{step}"
    path = path.lstrip(".")
    if problem["type"] != "extra_forbidden":
        return f"{path}: {problem['msg'].removeprefix('Value error, ')}"
    parent = [step for step in problem["loc"][:-1] if isinstance(step, str)]
    fields = [*([] if parent else ["extends"]), *_part(parent).model_fields]
    return (
        f"{path}: unknown key{near(str(problem['loc'][-1]), fields)}; there are {', '.join(fields)}"
    )


_PARTS: dict[str, type[BaseModel]] = {
    "refiners": RefinerPart,
    "overrides": OverridePart,
    "budget": BudgetPart,
    "resources": ResourcesPart,
    "validation": ValidationPart,
    "search": SearchPart,
    "space": Space,
}


def _part(steps: Sequence[str]) -> type[BaseModel]:
    if not steps:
        return Plan
    # Below a space are names of settings, and how each is drawn.
    return Draw if "space" in steps[:-1] else _PARTS[steps[-1]]
