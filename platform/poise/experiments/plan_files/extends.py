"""``extends: other-plan``: a plan that says only in what it differs from another one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from poise.experiments.plan_files.reading import find, is_path, read_mapping
from poise.runtime.errors import PlanError

_KEY = "extends"


def read_extended(path: Path) -> dict[str, Any]:
    """Return the keys and values of a plan file, laid over those of the plan that it extends.

    The other plan is one that comes with Poise, by its name, or a path relative to the file. Maps
    are merged key by key, down to the last; everything else, lists too, takes the place of the
    other's. The name is the file's own.

    Raises:
        PlanError: a file is not there or no plan, or plans extend each other in a circle.
    """
    return {"name": path.stem, **_read(path, ())}


def _read(path: Path, below: Sequence[Path]) -> dict[str, Any]:
    if path.resolve() in below:
        circle = " -> ".join(one.stem for one in (*below, path))
        raise PlanError(f"{path} extends itself: {circle}")
    given = read_mapping(path)
    other = given.pop(_KEY, None)
    if other is None:
        return given
    if not isinstance(other, str):
        raise PlanError(f"{path}: {_KEY}: write one plan's name, or a path to a .yaml file")
    base = _read(_other(path, other), (*below, path.resolve()))
    base.pop("name", None)
    return _merged(base, given)


def _other(path: Path, other: str) -> Path:
    try:
        # An absolute path stays what it is.
        return find(str(path.parent / other) if is_path(other) else other)
    except PlanError as error:
        raise PlanError(f"{path}: {_KEY}: {error}") from None


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    both = {
        key: _merged(base[key], value)
        for key, value in over.items()
        if isinstance(value, dict) and isinstance(base.get(key), dict)
    }
    return {**base, **over, **both}
