"""What a plan says of a search: the settings it tries, how it draws them, and when it ends."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

#: Values of settings and of the budget, as `Space.settings` and `Space.budget` hold them.
Values = dict[str, dict[str, Any]]

Method = Literal["tpe", "asha", "pbt"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Draw(_Part):
    """How a value is drawn: evenly, evenly in its logarithm, or from a list."""

    uniform: tuple[float, float] | None = None
    loguniform: tuple[float, float] | None = None
    choice: tuple[bool | int | float | str, ...] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("write one of uniform: [low, high], loguniform: [low, high], choice")
        if self.choice is not None:
            if len(set(map(repr, self.choice))) != len(self.choice) or len(self.choice) < 2:
                raise ValueError("choice: write two different values or more, each once")
            return self
        low, high = self.range
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ValueError(f"{given[0]}: {low:g} is not below {high:g}")
        if self.loguniform is not None and low <= 0:
            raise ValueError("loguniform: both ends must be above 0")
        return self

    @property
    def range(self) -> tuple[float, float]:
        """Its ends, where it is no choice."""
        found = self.uniform or self.loguniform
        assert found is not None  # noqa: S101  (one of the three is given)
        return found

    @property
    def extremes(self) -> tuple[Any, ...]:
        """All values of a choice, or both ends."""
        return self.range if self.choice is None else self.choice

    def holds(self, value: Any) -> bool:
        """Say whether a value can be drawn."""
        if self.choice is not None:
            return any(value == one and _truth(value) == _truth(one) for one in self.choice)
        low, high = self.range
        return isinstance(value, int | float) and not _truth(value) and low <= value <= high

    def nearest(self, value: Any) -> Any:
        """Return the nearest value that can be drawn, of one that left the range."""
        if self.choice is not None:
            return value
        low, high = self.range
        return min(max(value, low), high)


def _truth(value: Any) -> bool:
    return isinstance(value, bool)


class Space(_Part):
    """What is searched: settings of the network, and of the budget that it is trained with."""

    settings: dict[str, Draw] = {}
    budget: dict[str, Draw] = {}

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not (self.settings or self.budget):
            raise ValueError("name settings or parts of the budget, and how each is drawn")
        if "epochs" in self.budget:
            raise ValueError("epochs cannot be searched: methods stop and compare trials by them")
        return self

    def items(self) -> Iterator[tuple[Literal["settings", "budget"], str, Draw]]:
        """All that is drawn: the place of its name, its name, and how."""
        yield from (("settings", name, draw) for name, draw in self.settings.items())
        yield from (("budget", name, draw) for name, draw in self.budget.items())

    def holds(self, values: Mapping[str, Mapping[str, Any]]) -> bool:
        """Say whether values can be drawn from it."""
        return all(draw.holds(values[place][name]) for place, name, draw in self.items())


class SearchPart(_Part):
    """A search over a network's settings, chosen on the validation subjects alone.

    It ends with whichever of ``trials``, ``hours`` (all submissions together) and ``gpu_hours``
    comes first.
    """

    method: Method = "tpe"
    space: Space
    trials: int | None = Field(None, ge=1)
    hours: float | None = Field(None, gt=0)
    gpu_hours: float | None = Field(None, gt=0)

    def __str__(self) -> str:
        limits = {"trials": self.trials, "hours": self.hours, "GPU hours": self.gpu_hours}
        end = ", ".join(f"{most:g} {name}" for name, most in limits.items() if most is not None)
        names = ", ".join(name for _, name, _ in self.space.items())
        return f"a search by {self.method} over {names}, at most {end}"

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if self.trials is None and self.hours is None and self.gpu_hours is None:
            raise ValueError("say when it ends: trials, hours or gpu_hours")
        if self.method == "pbt" and (self.trials or 0) < 2:
            raise ValueError("pbt needs trials: how many networks are trained together, 2 or more")
        return self
