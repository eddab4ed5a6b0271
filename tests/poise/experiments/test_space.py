"""What a plan may say of a search."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.support.tiny_plan import SYNSPP, plan_of

from poise.experiments.space import Draw, Space

RATE = {"budget": {"learning_rate": {"loguniform": [1e-4, 1e-2]}}}
SEARCH = {"trials": 2, "space": RATE}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"choice": [1]}, "two different values"),
        ({"choice": [1, 1]}, "each once"),
        ({"uniform": [2, 1]}, "2 is not below 1"),
        ({"uniform": [0, math.inf]}, "0 is not below inf"),
        ({"loguniform": [0, 1]}, "above 0"),
        ({"uniform": [0, 1], "choice": [1, 2]}, "one of uniform"),
        ({}, "one of uniform"),
    ],
)
def test_what_cannot_be_drawn_from_is_refused(given: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Draw.model_validate(given)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"search": {"space": RATE}}, "say when it ends"),
        ({"search": {**SEARCH, "method": "pbt", "trials": 1}}, "2 or more"),
        ({"search": {**SEARCH, "gpu_hours": 1}}, "asks for no GPU"),
        ({"search": SEARCH, "validation": {"folds": 3}}, "leave them out"),
        ({"search": SEARCH, "overrides": [{"label": "one"}]}, "one track and one refiner"),
        ({"search": {"trials": 2, "space": {"budget": {"epochs": {"choice": [1, 2]}}}}}, "epochs"),
    ],
)
def test_what_no_search_can_be_is_refused(more: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        plan_of(SYNSPP, **more)
    with pytest.raises(ValidationError, match="one track and one refiner"):
        plan_of(SYNSPP, "input", search=SEARCH)


@given(low=st.floats(1e-6, 1e3), width=st.floats(1e-3, 1e3), value=st.floats(0, 1e4))
def test_a_value_is_brought_back_into_its_range(low: float, width: float, value: float) -> None:
    draw = Draw(uniform=(low, low + width))
    assert draw.holds(draw.nearest(value))
    assert draw.nearest(value) == value or not draw.holds(value)


def test_a_choice_tells_true_from_one() -> None:
    space = Space.model_validate({"settings": {"pick": {"choice": [1, 2]}}})
    assert space.holds({"settings": {"pick": 1}})
    assert not space.holds({"settings": {"pick": True}})
