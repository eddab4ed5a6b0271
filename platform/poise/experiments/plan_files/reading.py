"""One YAML file: found by a plan's name or path, and read as plain values."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from poise.runtime.errors import DataError, PlanError, in_short
from poise.runtime.text.files import read_text

#: Of a plan; a grid of 1,000 trials is written in some hundred.
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


def is_path(name: str) -> bool:
    """Say whether a plan is named by a file, and not as one of those that come with Poise."""
    return name.endswith((".yaml", ".yml"))


def find(name: str) -> Path:
    """Return the file of a plan: ``jobs/plans/<name>.yaml`` of the repository, or the path itself.

    Raises:
        PlanError: there is none; the message names those there are.
    """
    if is_path(name):
        if not Path(name).is_file():
            raise PlanError(f"there is no plan file {name}")
        return Path(name)
    folders = [root / "jobs" / "plans" for root in (Path(__file__).parents[4], Path.cwd())]
    for folder in folders:
        if (folder / f"{name}.yaml").is_file():
            return folder / f"{name}.yaml"
    have = sorted({path.stem for folder in folders for path in folder.glob("*.yaml")})
    raise PlanError(
        f"no plan {name!r}{near(name, have)}; there are {', '.join(have) or 'none'}. "
        "A path to a .yaml file works too"
    )


def read_mapping(path: Path) -> dict[str, Any]:
    """Return the keys and values of a plan file.

    Raises:
        PlanError: it is no YAML, no mapping, or larger than a plan can be.
    """
    try:
        given = _Loader(read_text(path)).get_single_data()
    except DataError as error:
        raise PlanError(str(error)) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise PlanError(f"{path} is not YAML: {in_short(error)}") from error
    _check_size(path, given)
    if not isinstance(given, dict):
        raise PlanError(f"{path} holds no plan: write keys such as name, tracks and refiners")
    return given


def near(word: str, known: Sequence[str]) -> str:
    """Return a question after the known word that is meant, in brackets; empty without one."""
    close = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _check_size(path: Path, given: Any) -> None:
    """Refuse a plan that refers to its parts so often that it is larger than a grid can be."""
    count, todo = 0, [given]
    while todo:
        one = todo.pop()
        count += 1
        if count > _MOST_VALUES:
            raise PlanError(
                f"{path}: more than {_MOST_VALUES:,} values, each alias counted in full"
            )
        todo += one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
