"""Whether settings are of the kinds that a configuration declares.

A dataclass takes anything: a word that no branch knows would build the network of the last one.
"""

from collections.abc import Mapping
from types import UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from poise_models.errors import ConfigError

_SAID: Final = {int: "a whole number", float: "a number", bool: "true or false", type(None): "null"}
_SHOWN: Final = 40


def check_kinds(name: str, config: type[Any], settings: Mapping[str, Any]) -> None:
    """Raise `ConfigError` where a setting is of another kind than its field.

    Args:
        name: of the refiner.
        config: the dataclass.
        settings: values of some of its fields.
    """
    kinds = get_type_hints(config)
    for key, value in settings.items():
        if not _fits(value, kinds[key]):
            raise ConfigError(
                f"{name}: {key} is {repr(value)[:_SHOWN]}; it should be {_said(kinds[key])}"
            )


def _fits(value: Any, kind: Any) -> bool:
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Literal:
        return any(type(value) is type(part) and value == part for part in parts)
    if origin in (Union, UnionType):
        return any(_fits(value, part) for part in parts)
    if origin is tuple:
        return isinstance(value, list | tuple) and all(_fits(one, parts[0]) for one in value)
    if kind in (int, float):
        return isinstance(value, int | kind) and not isinstance(value, bool)
    return isinstance(value, kind)


def _said(kind: Any) -> str:
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Literal:
        return f"one of {', '.join(map(repr, parts))}"
    if origin in (Union, UnionType):
        return " or ".join(map(_said, parts))
    if origin is tuple:
        return f"a list, each {_said(parts[0])}"
    return str(_SAID.get(kind, kind.__name__))
