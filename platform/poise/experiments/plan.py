"""Experiment plans: YAML in, the grid of trials out.

A plan names tracks x refiners x overrides x seeds. Every cell of that grid is a `TrialSpec`, whose
``key`` is a hash of its content: whoever submits the same content again meets the same trial.
"""

import difflib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from poise.catalog.tracks import Track
from poise.runtime.errors import PlanError, TrackError
from poise_models import catalogue
from poise_models.base.budget import Budget, Optimiser, Schedule
from poise_models.base.pose_spec import PoseSpec
from poise_models.errors import RefinerError

#: Part of every trial's key: raise it when training or scoring change what a trial means.
SCHEMA = 1


def _known_track(text: str) -> str:
    try:
        return str(Track.parse(text))
    except TrackError as error:
        raise ValueError(str(error)) from error


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
    bf16: bool | None = None
    compile: bool | None = None

    def given(self) -> dict[str, Any]:
        """The fields that were written down."""
        return self.model_dump(exclude_none=True)


class RefinerPart(_Part):
    """One refiner; ``label`` tells two of the same name apart."""

    name: str
    label: str = ""
    settings: dict[str, Any] = {}
    budget: BudgetPart = BudgetPart()


class OverridePart(_Part):
    """One variant of the refiners it names (all networks, where it names none)."""

    label: str
    refiners: tuple[str, ...] = ()
    settings: dict[str, Any] = {}
    budget: BudgetPart = BudgetPart()


class ResourcesPart(_Part):
    """What one trial occupies.

    ``stream_gb`` is for tracks that do not fit: the training split is then read from the lake in
    shuffled blocks, and so many GiB of it (with a PVD, its poses and neighbours too) are in memory
    at once. Where it is left out, all of it is.
    """

    cpu: float = Field(1.0, gt=0)
    gpu: float = Field(0.0, ge=0)
    stream_gb: float | None = Field(None, gt=0)


class ValidationPart(_Part):
    """Training subjects held out to choose checkpoints and the champion.

    ``auto`` is the last subject in natural order. With ``refit`` every refiner is then fitted anew,
    for its whole budget, on all training subjects.
    """

    subjects: Literal["auto"] | tuple[str, ...] = "auto"
    refit: bool = False


def _refiner(given: Any) -> Any:
    return {"name": given} if isinstance(given, str) else given


class Plan(_Part):
    """A validated plan."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    tracks: tuple[Annotated[str, AfterValidator(_known_track)], ...] = Field(min_length=1)
    refiners: tuple[Annotated[RefinerPart, BeforeValidator(_refiner)], ...] = Field(min_length=1)
    overrides: tuple[OverridePart, ...] = ()
    seeds: tuple[int, ...] = Field((0,), min_length=1)
    budget: BudgetPart = BudgetPart()
    resources: ResourcesPart = ResourcesPart()
    validation: ValidationPart = ValidationPart()
    scheduler: Literal["fifo", "asha"] = "fifo"

    @model_validator(mode="after")
    def _refits_whole_trials(self) -> Self:
        if self.validation.refit and self.scheduler == "asha":
            raise ValueError("validation.refit needs scheduler fifo: asha stops trials on the way")
        return self

    def changed(
        self,
        tracks: Sequence[str] = (),
        epochs: int | None = None,
        hold_out: Sequence[str] = (),
    ) -> "Plan":
        """The plan with other tracks, epochs of all networks, or subjects held out."""
        given = self.model_dump()
        if tracks:
            given["tracks"] = list(tracks)
        if epochs is not None:
            for part in (given, *given["refiners"], *given["overrides"]):
                part["budget"]["epochs"] = epochs
        if hold_out:
            given["validation"]["subjects"] = tuple(hold_out)
        return _validated(given, "the command line")


@dataclass(frozen=True)
class TrialSpec:
    """One cell of a plan's grid.

    Attributes:
        key: hash of everything below but the label, and of the `SCHEMA`.
        manifest: hash of the track's manifest in the lake.
        settings: the refiner's whole configuration.
        budget: None for what is no network.
        validation: subjects held out; empty means automatic.
        refit: whether the final weights come from all training subjects.
    """

    key: str
    track: str
    manifest: str
    refiner: str
    label: str
    settings: dict[str, Any]
    budget: Budget | None
    seed: int
    validation: tuple[str, ...]
    refit: bool

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> "TrialSpec":
        """The inverse of `to_json`."""
        budget = given["budget"] and Budget(**given["budget"])
        return cls(**{**given, "budget": budget, "validation": tuple(given["validation"])})

    @property
    def title(self) -> str:
        """The refiner's name as tables print it, with the label where there is one."""
        title = catalogue.title(self.refiner)
        return f"{title} ({self.label})" if self.label else title


def load_plan(name: str | Path) -> Plan:
    """Read ``jobs/plans/<name>.yaml`` of the repository, or the YAML file at a path.

    Raises:
        PlanError: there is no such plan, or it is not valid; the message names the key.
    """
    path = _find(str(name))
    try:
        given = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PlanError(f"{path} is not YAML: {error}") from error
    if not isinstance(given, dict):
        raise PlanError(f"{path} holds no plan: write keys such as name, tracks and refiners")
    return _validated({"name": path.stem, **given}, str(path))


def grid(plan: Plan, manifests: Mapping[str, str]) -> list[TrialSpec]:
    """All trials of a plan, in its order; what is no network runs with one seed.

    Args:
        plan: the plan.
        manifests: the hash of each track's manifest.

    Raises:
        PlanError: a refiner or a setting is unknown, or two trials have the same content.
    """
    seen: dict[str, str] = {}
    specs = []
    for spec in _cells(plan, manifests):
        where = f"{spec.title} on {spec.track}, seed {spec.seed}"
        if spec.key in seen:
            raise PlanError(f"{plan.name}: {where} is the same trial as {seen[spec.key]}")
        seen[spec.key] = where
        specs.append(spec)
    return specs


def _cells(plan: Plan, manifests: Mapping[str, str]) -> Iterator[TrialSpec]:
    for track in plan.tracks:
        for where, part in _variants(plan):
            full = _full_settings(track, where, part)
            trains = catalogue.trains(part.name)
            budget = _budget(track, where, part) if trains else None
            for seed in plan.seeds if trains else plan.seeds[:1]:
                spec = TrialSpec(
                    key="",
                    track=track,
                    manifest=manifests[track],
                    refiner=part.name,
                    label=part.label,
                    settings=full,
                    budget=budget,
                    seed=seed,
                    validation=()
                    if plan.validation.subjects == "auto"
                    else plan.validation.subjects,
                    refit=plan.validation.refit and catalogue.learns(part.name),
                )
                yield replace(spec, key=_key(spec))


def _variants(plan: Plan) -> Iterator[tuple[str, RefinerPart]]:
    for number, part in enumerate(plan.refiners):
        where = f"refiners[{number}]"
        _check_name(where, part.name)
        base = _merged(plan.budget, part.budget)
        chosen = [
            (f"overrides[{k}]", override)
            for k, override in enumerate(plan.overrides)
            if part.name in override.refiners
            or (not override.refiners and catalogue.trains(part.name))
        ]
        if not chosen:
            yield where, part.model_copy(update={"budget": base})
        for place, override in chosen:
            label = ", ".join(text for text in (part.label, override.label) if text)
            settings = {**part.settings, **override.settings}
            update = {
                "label": label, "settings": settings, "budget": _merged(base, override.budget)
            }  # fmt: skip
            yield f"{where} with {place}", part.model_copy(update=update)


def _merged(wide: BudgetPart, narrow: BudgetPart) -> BudgetPart:
    return wide.model_copy(update=narrow.given())


def _check_name(where: str, name: str) -> None:
    try:
        catalogue.learns(name)
    except RefinerError as error:
        raise PlanError(f"{where}.name: {error}") from error


def _budget(track: str, where: str, part: RefinerPart) -> Budget:
    budget = replace(catalogue.published(part.name), **part.budget.given())
    if budget.mirror and Track.parse(track).info.flip is None:
        raise PlanError(
            f"{where}.budget.mirror: {track} does not say which axis runs from right to left; set "
            "`lateral` in its data set's file (docs/own-data.md), or leave mirror out"
        )
    return budget


def _full_settings(track: str, where: str, part: RefinerPart) -> dict[str, Any]:
    info = Track.parse(track).info
    spec = PoseSpec(info.joints, info.dims, info.roots)
    try:
        return catalogue.build(part.name, spec, part.settings).settings()
    except RefinerError as error:
        raise PlanError(f"{where}.settings: {error}") from error


def _key(spec: TrialSpec) -> str:
    content = {k: v for k, v in spec.to_json().items() if k not in ("key", "label")}
    text = json.dumps({"schema": SCHEMA, **content}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _find(name: str) -> Path:
    if name.endswith((".yaml", ".yml")):
        if not Path(name).is_file():
            raise PlanError(f"there is no plan file {name}")
        return Path(name)
    folders = [root / "jobs" / "plans" for root in (Path(__file__).parents[3], Path.cwd())]
    for folder in folders:
        if (folder / f"{name}.yaml").is_file():
            return folder / f"{name}.yaml"
    have = sorted({path.stem for folder in folders for path in folder.glob("*.yaml")})
    raise PlanError(
        f"no plan {name!r}{_hint(name, have)}; there are {', '.join(have) or 'none'}. "
        "A path to a .yaml file works too"
    )


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
    fields = list((_PARTS[parent[-1]] if parent else Plan).model_fields)
    return (
        f"{path}: unknown key{_hint(str(problem['loc'][-1]), fields)}; "
        f"there are {', '.join(fields)}"
    )


_PARTS: dict[str, type[BaseModel]] = {
    "refiners": RefinerPart,
    "overrides": OverridePart,
    "budget": BudgetPart,
    "resources": ResourcesPart,
    "validation": ValidationPart,
}


def _hint(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean {close[0]}?)" if close else ""
