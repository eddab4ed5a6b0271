"""Points of a plan's search space, as trials and back."""

import difflib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from poise.experiments.grid import TrialSpec, grid
from poise.experiments.plan import BudgetPart, Plan
from poise.experiments.space import SearchPart, Values
from poise.experiments.trial_data import fresh_refiner
from poise.runtime.errors import PlanError
from poise_models import catalogue
from poise_models.errors import RefinerError

#: What a network under training bears to have changed: the rest shapes its optimiser and data.
_CHANGED_IN_TRAINING = ("learning_rate", "decay", "floor", "clip", "scale", "heading", "mirror")


class Points:
    """The trials that a plan's search may try: its one refiner, with other settings.

    They are of the plan's first seed, and end with the validation subjects.
    """

    def __init__(self, plan: Plan, manifests: Mapping[str, str]) -> None:
        """Take a plan that searches.

        Args:
            plan: has a ``search`` part.
            manifests: the hash of the track's manifest.

        Raises:
            PlanError: its refiner is no network that is trained, or cannot have a setting that
                may be drawn, or cannot have it changed while it is trained, as PBT does.
        """
        assert plan.search is not None  # noqa: S101  (who makes points has asked)
        self.plan = plan
        self.search: SearchPart = plan.search
        self._part, self._manifests = plan.refiners[0], manifests
        self._check()

    def spec(self, values: Values, number: int = 0, grown_from: str = "") -> TrialSpec:
        """Return the trial of some values.

        Args:
            values: of all that is searched.
            number: of a member of a population, which has a seed of its own.
            grown_from: the trial whose weights it starts from.

        Raises:
            PlanError: the network cannot have such a value.
        """
        part = self.changed(values, words(values))
        alone = self.plan.model_copy(
            update={"refiners": (part,), "seeds": (self.plan.seeds[0] + number,), "search": None}
        )
        (spec,) = grid(alone, self._manifests)
        return replace(spec, untested=True, refit=False, tuned_from=grown_from).keyed()

    def changed(self, values: Values, label: str) -> Any:
        """Return the plan's refiner with some values, under a label.

        Raises:
            PlanError: its budget cannot have such a value.
        """
        budget = {**self._part.budget.given(), **values.get("budget", {})}
        try:
            found = BudgetPart.model_validate(budget)
        except ValidationError as error:
            raise PlanError(error.errors()[0]["msg"]) from None
        settings = {**self._part.settings, **values.get("settings", {})}
        return self._part.model_copy(update={"settings": settings, "budget": found, "label": label})

    @property
    def epochs(self) -> int:
        """How long a trial is trained, unless it is stopped."""
        return self._epochs

    def values(self, spec: TrialSpec) -> Values | None:
        """Return the values of a trial; None where it is of another plan, or space."""
        if spec.refiner != self._part.name or spec.budget is None or not spec.untested:
            return None
        space = self.search.space
        found: Values = {}
        for place, name, _ in space.items():
            if place == "settings" and name not in spec.settings:
                return None
            value = spec.settings[name] if place == "settings" else getattr(spec.budget, name, None)
            found.setdefault(place, {})[name] = value
        if not space.holds(found):
            return None
        number = spec.seed - self.plan.seeds[0]
        if self.spec(found, number, spec.tuned_from).key != spec.key:
            return None
        return found

    def _check(self) -> None:
        name, space = self._part.name, self.search.space
        self._epochs = 0
        try:
            if not catalogue.trains(name) or self._part.tuned:
                raise PlanError(
                    f"search: {name} is not trained by gradient; filters are tuned by `tuned: true`"
                )
        except RefinerError as error:
            raise PlanError(f"refiners[0].name: {error}") from error
        first: Values = {}
        for place, key, draw in space.items():
            self._check_name(place, key)
            first.setdefault(place, {})[key] = draw.extremes[0]
        for place, key, draw in space.items():
            at = f"search.space.{place}.{key}"
            specs = []
            for value in draw.extremes:
                changed = {**first, place: {**first[place], key: value}}
                try:
                    specs.append(self.spec(changed))
                except (PlanError, RefinerError) as error:
                    hint = "" if draw.choice else "; whole numbers are drawn by `choice`"
                    said = str(error).splitlines()[-1].strip()
                    raise PlanError(f"{at}: {said}{hint}") from error
            self._epochs = specs[0].budget.epochs if specs[0].budget else 0
            if self.search.method == "pbt":
                self._check_change(at, place, key, specs)

    def _check_name(self, place: str, key: str) -> None:
        known = list(BudgetPart.model_fields)
        if place == "budget" and key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            raise PlanError(
                f"search.space.budget.{key}: unknown key{hint}; there are {', '.join(known)}"
            )

    def _check_change(self, at: str, place: str, key: str, specs: list[TrialSpec]) -> None:
        if place == "budget":
            fits = key in _CHANGED_IN_TRAINING
        else:
            fits = len({_shapes(spec) for spec in specs}) == 1
        if not fits:
            raise PlanError(
                f"{at}: pbt changes settings of networks under training, and this one cannot be "
                "changed then: search it with tpe or asha"
            )


def words(values: Mapping[str, Mapping[str, Any]]) -> str:
    """Return values as people read them, for example ``width 64, learning_rate 0.0012``."""
    parts = (item for some in values.values() for item in some.items())
    return ", ".join(f"{name} {short(value)}" for name, value in parts)


def short(value: Any) -> str:
    """Return a value with as many digits as tell anything."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _shapes(spec: TrialSpec) -> str:
    weights = fresh_refiner(spec).state_dict()
    return str({name: tuple(tensor.shape) for name, tensor in weights.items()})
