"""The grid of a plan: every cell of tracks x refiners x overrides x seeds x folds is one trial."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from poise.catalog.tracks import Track
from poise.checkpoints.checkpoint import pose_spec
from poise.experiments.candidates import candidates
from poise.experiments.plan import BudgetPart, Plan, RefinerPart
from poise.runtime.errors import PlanError
from poise_models import catalogue
from poise_models.base.budget import Budget
from poise_models.errors import RefinerError

#: Part of every trial's key: raise it when training or scoring change what a trial means.
SCHEMA = 1
#: What came after the first trials, and the value with which it changes nothing.
_LATER = (("budget", "heading", 0.0), ("settings", "apart", False))


class GridError(PlanError):
    """A plan of which no trials can be made; ``problems`` are all that is wrong with it."""

    def __init__(self, plan: str, problems: Iterable[str]) -> None:
        # A refiner's is there once for each track.
        self.problems = list(dict.fromkeys(problems))
        super().__init__("\n  ".join([f"plan {plan} cannot run:", *self.problems]))


@dataclass(frozen=True)
class Fold:
    """One part of a cross-validation, ``number`` from 1 to ``of``."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"fold {self.number} of {self.of}"


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
        candidates: settings to choose from; none where it is fitted as ``settings`` say.
        tuned_from: the model whose weights training starts from; empty where from fresh ones.
        fold: whose people are the test split; None where the track's own split is.
        untested: whether it ends with the validation subjects, as trials of a search do.
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
    candidates: tuple[dict[str, Any], ...] = ()
    tuned_from: str = ""
    fold: Fold | None = None
    untested: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a dictionary of plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> "TrialSpec":
        """Make a trial of what `to_json` returned."""
        budget = given["budget"] and Budget(**given["budget"])
        lists = {"validation": (), "candidates": (), **given}
        tuples = {name: tuple(lists[name]) for name in ("validation", "candidates")}
        fold = given.get("fold") and Fold(**given["fold"])
        return cls(**{**given, "budget": budget, "fold": fold, **tuples})

    def keyed(self) -> "TrialSpec":
        """Return the trial with the key of what it is."""
        return replace(self, key=_key(self))

    def with_candidate(self, number: int) -> "TrialSpec":
        """Return the trial with the settings of a candidate; they count from 1."""
        return replace(self, settings=self.settings | self.candidates[number - 1])

    @property
    def title(self) -> str:
        """The refiner's name as tables print it, with the label where there is one."""
        title = catalogue.title(self.refiner)
        return f"{title} ({self.label})" if self.label else title

    @property
    def name(self) -> str:
        """Title, track, seed and fold, as logs name the trial."""
        name = f"{self.title} on {self.track}, seed {self.seed}"
        return f"{name}, {self.fold}" if self.fold else name


def grid(plan: Plan, manifests: Mapping[str, str]) -> list[TrialSpec]:
    """Return all trials of a plan, in its order; what is no network runs with one seed.

    Args:
        plan: the plan.
        manifests: the hash of each track's manifest.

    Raises:
        GridError: settings make no sense, a track does not have what a budget wants, or two trials
            have the same content; the message has everything of the kind.
    """
    seen: dict[str, str] = {}
    specs, problems = [], []
    for track in plan.tracks:
        for where, part in _variants(plan):
            try:
                cells = list(_cells(plan, track, manifests[track], where, part))
            except PlanError as error:
                problems.append(str(error))
                continue
            for spec in cells:
                if spec.key in seen:
                    problems.append(f"{spec.name} is the same trial as {seen[spec.key]}")
                seen[spec.key] = spec.name
                specs.append(spec)
    if problems:
        raise GridError(plan.name, problems)
    return specs


def _cells(
    plan: Plan, track: str, manifest: str, where: str, part: RefinerPart
) -> Iterator[TrialSpec]:
    """Yield the trials of one refiner on one track, of every seed and fold."""
    trains = catalogue.trains(part.name)
    spec = TrialSpec(
        key="",
        track=track,
        manifest=manifest,
        refiner=part.name,
        label=", ".join(word for word in (part.label, "tuned" * part.tuned) if word),
        settings=_full_settings(track, where, part),
        budget=_budget(track, where, part) if trains else None,
        seed=0,
        validation=() if plan.validation.subjects == "auto" else plan.validation.subjects,
        refit=plan.validation.refit and catalogue.learns(part.name),
        candidates=candidates(where, part.name, part.settings) if part.tuned else (),
    )
    for seed in plan.seeds if trains else plan.seeds[:1]:
        for fold in _folds(plan):
            one = replace(spec, seed=seed, fold=fold)
            yield one.keyed()


def _folds(plan: Plan) -> list[Fold] | list[None]:
    count = plan.validation.folds
    return [Fold(number, count) for number in range(1, count + 1)] if count else [None]


def _variants(plan: Plan) -> Iterator[tuple[str, RefinerPart]]:
    for number, part in enumerate(plan.refiners):
        where = f"refiners[{number}]"
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
            budget = _merged(base, override.budget)
            update = {"label": label, "settings": settings, "budget": budget}
            yield f"{where} with {place}", part.model_copy(update=update)


def _merged(wide: BudgetPart, narrow: BudgetPart) -> BudgetPart:
    return wide.model_copy(update=narrow.given())


def _budget(track: str, where: str, part: RefinerPart) -> Budget:
    budget = replace(catalogue.published(part.name), **part.budget.given())
    if budget.heading and Track.parse(track).info.up is None:
        raise PlanError(
            f"{where}.budget.heading: {track} does not say which axis is vertical; set `up` in its "
            "data set's file (docs/own-data.md), or leave heading out"
        )
    if budget.mirror and Track.parse(track).info.flip is None:
        raise PlanError(
            f"{where}.budget.mirror: {track} does not say which axis runs from right to left; set "
            "`lateral` in its data set's file (docs/own-data.md), or leave mirror out"
        )
    return budget


def _full_settings(track: str, where: str, part: RefinerPart) -> dict[str, Any]:
    try:
        return catalogue.build(part.name, pose_spec(Track.parse(track)), part.settings).settings()
    except RefinerError as error:
        raise PlanError(f"{where}.settings: {error}") from error


def _key(spec: TrialSpec) -> str:
    content = {k: v for k, v in spec.to_json().items() if k not in ("key", "label")}
    # What a trial does without has no part in its key: trials of before it was there keep theirs.
    for name in ("candidates", "tuned_from", "fold", "untested"):
        if not content[name]:
            del content[name]
    for place, name, absent in _LATER:
        if content[place] and content[place].get(name) == absent:
            content[place] = {k: v for k, v in content[place].items() if k != name}
    text = json.dumps({"schema": SCHEMA, **content}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
