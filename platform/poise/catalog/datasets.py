"""The catalogue: what Poise knows about data sets, from its own TOML files and the user's."""

import tomllib
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from types import MappingProxyType

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from poise.catalog.dataset_file import DataSet, Files, Pixels, Published, TrackPart
from poise.runtime.errors import CatalogueError, TrackError
from poise.runtime.settings import VARIABLES, Settings


def known() -> Mapping[str, DataSet]:
    """Return every data set by name: the built-in ones, then the user's.

    The user's come from the TOML files of ``$POISE_DATASETS`` and of ``<home>/datasets``; on a Ray
    worker, from the texts that its driver sent. They are read once a process.

    Raises:
        CatalogueError: a file is missing, is not TOML, says something unknown or contradictory, or
            takes a name that is taken; the message names file, key and what to do.
    """
    return _known(Settings.current())


def dataset(name: str) -> DataSet:
    """Return a data set by name; raise `TrackError` where there is none."""
    try:
        return known()[name]
    except KeyError:
        raise TrackError(
            f"no data set {name!r}: known are {', '.join(known())}. Describe your own in a small "
            f"TOML file and name it in {VARIABLES['datasets']}, see docs/own-data.md"
        ) from None


def is_built_in(name: str) -> bool:
    """Say whether a data set comes with Poise."""
    return any(read_dataset(text, source).name == name for source, text in _built_in())


def read_dataset(text: str, source: str) -> DataSet:
    """Read the TOML text of a data set.

    Args:
        text: the text.
        source: where it is from, for messages.

    Raises:
        CatalogueError: it is not TOML, or not a data set.
    """
    try:
        given = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise CatalogueError(f"{source} is not TOML: {error}") from None
    try:
        return DataSet.model_validate(given)
    except ValidationError as error:
        problems = dict.fromkeys(_explain(problem) for problem in error.errors())
        raise CatalogueError(
            "\n  ".join([f"{source} does not describe a data set:", *problems])
        ) from None


@lru_cache(maxsize=16)
def _known(settings: Settings) -> Mapping[str, DataSet]:
    found: dict[str, DataSet] = {}
    origin: dict[str, str] = {}
    built_in = [(False, text) for text in _built_in()]
    for own, (source, text) in [*built_in, *((True, text) for text in settings.dataset_texts())]:
        one = read_dataset(text, source)
        if one.name in found:
            raise CatalogueError(
                f"{source}: there is a data set {one.name} already ({origin[one.name]}); "
                "choose another name"
            )
        if own and one.generated:
            raise CatalogueError(f"{source}: generated: only built-in data sets are; remove it")
        found[one.name], origin[one.name] = one, source
    return MappingProxyType(found)


def _built_in() -> list[tuple[str, str]]:
    folder = resources.files("poise.catalog")
    entries = {entry.name for entry in folder.iterdir() if entry.name.endswith(".toml")}
    names = sorted(entries - {"joint_sets.toml", "published.toml"})
    return [(f"built-in {name}", (folder / name).read_text("utf-8")) for name in names]


_PARTS: dict[str, type[BaseModel]] = {
    "tracks": TrackPart,
    "files": Files,
    "published": Published,
    "Pixels": Pixels,
}


def _explain(problem: ErrorDetails) -> str:
    # Pydantic names the member of a union it tried; the file has no such key.
    steps = [step for step in problem["loc"] if step not in ("Pixels", "literal['image']")]
    path = "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in steps).lstrip(".")
    where = f"{path}: " if path else ""
    if problem["type"] != "extra_forbidden":
        return where + problem["msg"].removeprefix("Value error, ")
    parents = [step for step in problem["loc"][:-1] if step in _PARTS]
    part = _PARTS[str(parents[-1])] if parents else DataSet
    return f"{where}unknown key; there are {', '.join(part.model_fields)}"
