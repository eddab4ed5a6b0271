"""JSON value by value: all that the standard library reads, and no further where it is none."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from poise.serving.intake.json_text import JsonError, JsonText, TooLongError

SCALARS = (
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False) | some.text()
)
VALUES = some.recursive(
    SCALARS, lambda inner: some.lists(inner) | some.dictionaries(some.text(), inner)
)


def read(text: str, most: int = 10_000, usual: int = 1) -> dict[str, Any]:
    """An object, its lists item by item; ``usual`` is how long a value is first taken for."""
    reader, found = JsonText(text), {}
    for key in reader.keys(most):
        reader._usual = usual
        found[key] = list(reader.items(most)) if reader.peek() == "[" else reader.value(most)
    reader.end()
    return found


@settings(deadline=None)
@given(some.dictionaries(some.text(), VALUES), some.integers(0, 30), some.sampled_from([None, 1]))
def test_what_is_json_is_read_as_such(given: Any, usual: int, indent: int | None) -> None:
    assert read(json.dumps(given, indent=indent), usual=usual) == given


@settings(deadline=None)
@given(some.dictionaries(some.text(), VALUES), some.data())
def test_what_is_none_is_refused(given: Any, data: some.DataObject) -> None:
    text = json.dumps(given)
    place = data.draw(some.integers(0, len(text)))
    broken = text[:place] + data.draw(some.sampled_from('[]{},:x1e-"\\ ')) + text[place + 1 :]
    try:
        expected = json.loads(broken)
    except ValueError:
        expected = None
    if isinstance(expected, dict):
        assert read(broken) == expected
    else:
        with pytest.raises(JsonError):
            read(broken)


LONG = (
    '{"a": "' + "x" * 10**6,
    '{"a": [' + "[]," * 10**6,
    '{"' + "k" * 10**6,
    '{"a": [[1' + "1" * 99,
)


@pytest.mark.parametrize("long", LONG)
def test_a_value_is_read_as_far_as_it_may_go(long: str) -> None:
    with pytest.raises((TooLongError, JsonError)):
        read(long, most=64)


@pytest.mark.parametrize("text", ['{"a": ' + "[" * 100_000, '{"a": ' + "1" * 5000 + "}"])
def test_what_python_would_not_read_is_no_json(text: str) -> None:
    with pytest.raises(JsonError):
        read(text)
