"""The registry: which models have which aliases, and are their files there?"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from poise.doctor.finding import Finding
from poise.doctor.mlflow_server import MlflowServer, NoAnswerError
from poise.runtime.errors import in_short
from poise.runtime.settings import ARTIFACTS, Settings, database

_RUNS = "runs:/"
#: Aliases whose files a server is asked for; each is two questions.
_MOST = 24
_QUERY = """
SELECT a.name, a.alias, a.version, v.source, r.run_uuid, r.artifact_uri
FROM registered_model_aliases a
LEFT JOIN model_versions v ON v.name = a.name AND v.version = a.version
LEFT JOIN runs r ON r.run_uuid = v.run_id
ORDER BY a.name, a.alias
"""


@dataclass(frozen=True)
class _Alias:
    """An alias of a model; ``where`` its files should be, ``there`` whether they are."""

    model: str
    alias: str
    number: str
    where: str
    there: bool


def check(settings: Settings) -> Iterator[Finding]:
    """Look where aliases of registered models lead."""
    uri = settings.tracking_uri
    store = database(uri)
    try:
        if store is not None:
            if not store.is_file() or not store.stat().st_size:
                yield Finding("registry", "skipped", "no store, so no model yet")
                return
            models, aliases = _of_a_file(store)
        elif uri.startswith(("http://", "https://")):
            models, aliases = _of_a_server(MlflowServer(uri))
        else:
            yield Finding("registry", "skipped", "only MLflow itself can open that store")
            return
    except (NoAnswerError, sqlite3.Error) as error:
        said = f"it cannot be asked ({in_short(error)})"
        yield Finding("registry.files", "failed", said, "see what is said of mlflow, and its log")
        return
    yield from _judged(models, aliases)


def _judged(models: list[str], aliases: list[_Alias]) -> Iterator[Finding]:
    if not models:
        yield Finding("registry", "skipped", "no model is registered yet: poise sweep does that")
        return
    lost = [one for one in aliases if not one.there]
    for one in lost:
        yield Finding(
            "registry.files",
            "failed",
            f"{one.model}@{one.alias} is version {one.number}, whose files are not in {one.where}",
            f"put them back, take another version (poise promote {one.model} --list), or run the "
            "plan's poise sweep again, which packs its champion anew",
        )
    if not lost:
        named = ", ".join(f"{one.model}@{one.alias}" for one in aliases[:3])
        more = f" and {len(aliases) - 3} more" if len(aliases) > 3 else ""
        files = f"; files are there of {named}{more}" if aliases else "; none has an alias"
        yield Finding("registry.files", "ok", f"{len(models)} models{files}")


def _of_a_file(store: Path) -> tuple[list[str], list[_Alias]]:
    with closing(sqlite3.connect(f"{store.as_uri()}?mode=ro", uri=True, timeout=2.0)) as connection:
        models = [name for (name,) in connection.execute("SELECT name FROM registered_models")]
        rows = connection.execute(_QUERY).fetchall()
    found = []
    for model, alias, number, source, run, recorded in rows:
        inside = _inside(source, run)
        # A home may have moved since MLflow wrote its path down: see `run_files.run_folder`.
        places = [store.parent / ARTIFACTS / str(run) / "artifacts" / inside]
        places += [Path(unquote(urlsplit(recorded).path)) / inside] if recorded else []
        elsewhere = "://" in str(recorded) and not str(recorded).startswith("file:")
        there = elsewhere or any(_holds_files(place) for place in places)
        found.append(_Alias(model, alias, str(number), str(places[-1]), there))
    return models, found


def _of_a_server(server: MlflowServer) -> tuple[list[str], list[_Alias]]:
    answer = server.get("registered-models/search", max_results=1000)
    models = answer.get("registered_models", [])
    named = [
        (model["name"], alias["alias"], alias["version"])
        for model in models
        for alias in model.get("aliases", [])
    ]
    found = [_asked(server, *one) for one in named[:_MOST]]
    return [model["name"] for model in models], found


def _asked(server: MlflowServer, model: str, alias: str, number: str) -> _Alias:
    try:
        answer = server.get("model-versions/get", name=model, version=number)
        version = answer["model_version"]
        run = version.get("run_id", "")
        inside = _inside(version.get("source"), run)
        files = server.get("artifacts/list", run_id=run, path=inside).get("files", [])
    except NoAnswerError as error:
        if not error.code or error.code >= 500:
            raise
        return _Alias(model, alias, number, "the server's artifacts", there=False)
    return _Alias(model, alias, number, f"artifacts of run {run}", bool(files))


def _inside(source: str | None, run: str | None) -> str:
    """Return where a version's files are among those of its run."""
    prefix = f"{_RUNS}{run}/"
    return source.removeprefix(prefix) if source and source.startswith(prefix) else ""


def _holds_files(folder: Path) -> bool:
    return any(one.is_file() and one.stat().st_size for one in folder.rglob("*"))
