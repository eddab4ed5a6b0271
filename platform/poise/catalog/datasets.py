"""The catalogue: what Poise knows about data sets, from its own TOML files and the user's."""

import json
import os
import tomllib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from poise.catalog.dataset_file import DataSet, Files, Pixels, Published, TrackPart
from poise.runtime.errors import CatalogueError, TrackError
from poise.runtime.workspace import Workspace

#: TOML files, or folders of them, of the user's own data sets (separated as in PATH).
FILES_VARIABLE = "POISE_DATASETS"
#: Their content as a JSON list: how they travel to machines that do not have the files.
TEXTS_VARIABLE = "POISE_DATASETS_TOML"


def known() -> Mapping[str, DataSet]:
    """Return every data set by name: the built-in ones, then the user's.

    The user's are the TOML files of ``$POISE_DATASETS`` and of ``<home>/datasets``; on a Ray worker
    the texts its driver sent. A change of a file is seen by the next process.

    Raises:
        CatalogueError: a file is missing, is not TOML, says something unknown or contradictory, or
            takes a name that is taken; the message names file, key and what to do.
    """
    texts = os.environ.get(TEXTS_VARIABLE)
    home = "" if texts is not None else str(Workspace.find().home)
    return _known(texts, os.environ.get(FILES_VARIABLE, ""), home)


def dataset(name: str) -> DataSet:
    """Look a data set up; raise `TrackError` where there is none of that name."""
    try:
        return known()[name]
    except KeyError:
        raise TrackError(
            f"no data set {name!r}: known are {', '.join(known())}. Describe your own in a small "
            f"TOML file and name it in {FILES_VARIABLE}, see docs/own-data.md"
        ) from None


def is_built_in(name: str) -> bool:
    """Say whether a data set comes with Poise."""
    return name in _known("[]", "", "")


def worker_env() -> dict[str, str]:
    """Return the environment through which the user's data sets reach Ray workers.

    Raises:
        CatalogueError: see `known`.
    """
    _ = known()
    texts = os.environ.get(TEXTS_VARIABLE)
    if texts is None:
        home = str(Workspace.find().home)
        found = [text for _, text in _user_files(os.environ.get(FILES_VARIABLE, ""), home)]
        texts = json.dumps(found) if found else None
    return {} if texts is None else {TEXTS_VARIABLE: texts}


def read_dataset(text: str, source: str) -> DataSet:
    """Read the TOML text of a data set.

    Args:
        text: the text.
        source: where it is from, for messages.

    Raises:
        CatalogueError: it is not TOML, or not a data set.
    """
    try:
        return DataSet.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise CatalogueError(f"{source} is not TOML: {error}") from None
    except ValidationError as error:
        problems = dict.fromkeys(_explain(problem) for problem in error.errors())
        raise CatalogueError(
            "\n  ".join([f"{source} does not describe a data set:", *problems])
        ) from None


@lru_cache(maxsize=16)
def _known(texts: str | None, files: str, home: str) -> Mapping[str, DataSet]:
    found: dict[str, DataSet] = {}
    origin: dict[str, str] = {}
    user = _sent(texts) if texts is not None else _user_files(files, home)
    for own, (source, text) in [*((False, s) for s in _built_in()), *((True, s) for s in user)]:
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
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".toml"))
    return [(f"built-in {name}", (folder / name).read_text("utf-8")) for name in names]


def _sent(texts: str) -> list[tuple[str, str]]:
    return [(f"{TEXTS_VARIABLE}[{i}]", text) for i, text in enumerate(json.loads(texts))]


def _user_files(files: str, home: str) -> list[tuple[str, str]]:
    named = [Path(entry).expanduser() for entry in files.split(os.pathsep) if entry]
    for path in named:
        if not path.exists():
            raise CatalogueError(f"{FILES_VARIABLE} names {path}, which is not there")
    return [(str(path), _text(path)) for path in _toml_files([*named, Path(home) / "datasets"])]


def _toml_files(places: Iterable[Path]) -> list[Path]:
    found = [
        path.resolve()
        for place in places
        for path in (sorted(place.glob("*.toml")) if place.is_dir() else [place])
        if path.is_file()
    ]
    return list(dict.fromkeys(found))


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogueError(f"{path} cannot be read: {error}") from error


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
