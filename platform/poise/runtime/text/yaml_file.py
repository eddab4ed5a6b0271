"""A YAML file as plain values: no key twice, no more than a person writes."""

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from poise.runtime.errors import DataError, in_short
from poise.runtime.text.files import read_text

#: Of a file; a grid of 1,000 trials is written in some hundred.
_MOST_VALUES = 100_000


class _Loader(yaml.SafeLoader):
    """The safe loader, which takes no key twice: YAML's own keeps the last without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen and key.value != "<<":
                line = key.start_mark.line + 1
                raise yaml.YAMLError(f"line {line}: the key {key.value} is there twice")
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:
    """Return what is in a file.

    Raises:
        DataError: it is no YAML, or larger than what a person writes.
    """
    try:
        given = _Loader(read_text(path)).get_single_data()
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is not YAML: {in_short(error)}") from error
    _check_size(path, given)
    return given


def near(word: str, known: Iterable[str]) -> str:
    """Return a question after the known word that is meant, in brackets; empty without one."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _check_size(path: Path, given: Any) -> None:
    """Refuse a file that refers to its parts so often that it is larger than anybody writes."""
    count, todo = 0, [given]
    while todo:
        one = todo.pop()
        count += 1
        if count > _MOST_VALUES:
            raise DataError(
                f"{path}: more than {_MOST_VALUES:,} values, each alias counted in full"
            )
        todo += one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
