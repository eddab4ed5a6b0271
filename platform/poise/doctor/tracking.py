"""MLflow: does the store or server of the settings answer, and can it be written?"""

import re
import secrets
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from poise.doctor.clock import clock_finding
from poise.doctor.finding import Finding
from poise.doctor.in_force import masked
from poise.doctor.mlflow_server import NOT_ITSELF, MlflowServer, NoAnswerError
from poise.doctor.s3 import answers
from poise.runtime import storage
from poise.runtime.errors import in_short
from poise.runtime.settings import VARIABLES, Settings, database

_BUSY_S = 2.0
_NAME = "poise.doctor"
_THROUGH_SERVER = "mlflow-artifacts:"
_NEWEST = {"max_results": 1, "order_by": ["creation_time DESC"]}
_ELSEWHERE = (
    f"start it, name another with --tracking-uri, or unset ${VARIABLES['tracking_uri']}: Poise "
    "uses a store in its home then"
)
_MOVED_ASIDE = "put a copy back that can be read, or run poise sweep: it publishes all of it anew"


def check(settings: Settings) -> Iterator[Finding]:
    """Look at the tracking store."""
    uri = settings.tracking_uri
    store = database(uri)
    if store is not None:
        yield from _of_a_file(store)
    elif uri.startswith(("http://", "https://")):
        yield from _of_a_server(uri)
    else:
        yield _of_another(uri)


def _of_a_file(store: Path) -> Iterator[Finding]:
    if not store.is_file() or not store.stat().st_size:
        yield Finding("mlflow", "skipped", f"{store} is made by the first command that needs it")
        return
    try:
        with closing(sqlite3.connect(store, timeout=_BUSY_S, isolation_level=None)) as connection:
            steps = {step for (step,) in connection.execute("SELECT * FROM alembic_version")}
            yield _schema(store, steps)
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(f"CREATE TABLE poise_doctor_{secrets.token_hex(4)} (x)")
            connection.execute("ROLLBACK")
    except sqlite3.Error as error:
        yield _broken(store, error)
        return
    yield Finding("mlflow.writable", "ok", f"{store}")


def _broken(store: Path, error: sqlite3.Error) -> Finding:
    kind = getattr(error, "sqlite_errorcode", 0) & 0xFF
    said = f"{store}: {in_short(error)}"
    if kind in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        cure = "another process holds it: wait for it, or end it (fuser -v names it)"
        return Finding("mlflow.writable", "failed", said, cure)
    if kind in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        cure = "give this user the right to write file and folder, make room, or take another home"
        return Finding("mlflow.writable", "failed", said, cure)
    return Finding("mlflow.answers", "failed", said, _MOVED_ASIDE)


def _schema(store: Path, steps: set[str]) -> Finding:
    head, known = _versions()
    ours = version("mlflow")
    if steps - known:
        return Finding(
            "mlflow.answers",
            "failed",
            f"{store} was made by a newer MLflow than {ours}, which is installed here",
            "install the newer one, or name another store with --tracking-uri",
        )
    if steps != {head}:
        said = f"{store} has the tables of an earlier MLflow than {ours}"
        return Finding("mlflow.answers", "failed", said, _MOVED_ASIDE)
    return Finding("mlflow.answers", "ok", f"{store}, with the tables of MLflow {ours}")


@cache
def _versions() -> tuple[str, frozenset[str]]:
    """Return the version of the installed MLflow's tables, and all there were, without MLflow."""
    spec = find_spec("mlflow")
    [root, *_] = (spec.submodule_search_locations if spec else None) or [""]
    texts = [
        path.read_text() for path in Path(root, "store/db_migrations/versions").glob("[!_]*.py")
    ]
    made = {match[1] for text in texts for match in re.finditer(r'^revision = "(\w+)"', text, re.M)}
    over = {
        one
        for text in texts
        for match in re.finditer(r"^down_revision = (.*)", text, re.M)
        for one in re.findall(r'"(\w+)"', match[1])
    }
    return next(iter(made - over), ""), frozenset(made)


def _of_a_server(uri: str) -> Iterator[Finding]:
    server, where = MlflowServer(uri), masked(uri)
    try:
        server.text("health")
        theirs = server.text("version").strip()
    except NoAnswerError as error:
        if str(error) == NOT_ITSELF:
            cure = "start it with mlflow server --allowed-hosts HOST:PORT"
            yield Finding("mlflow.answers", "failed", f"{where}: {error}", cure)
        elif error.code in (401, 403):
            cure = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or its _TOKEN"
            yield Finding("mlflow.answers", "failed", f"{where} refuses this user: {error}", cure)
        else:
            what = "is no MLflow server" if error.code else "does not answer"
            yield Finding("mlflow.answers", "failed", f"{where} {what} ({error})", _ELSEWHERE)
        return
    ours = version("mlflow")
    same = theirs == ours
    yield Finding(
        "mlflow.answers",
        "ok" if same else "warning",
        f"{where}: MLflow {theirs}" + ("" if same else f", here it is {ours}"),
        "" if same else "install the same version at both ends if a command fails there",
    )
    yield clock_finding("mlflow.clock", {"the MLflow server": server.ahead_s})
    yield from _written(server)


def _written(server: MlflowServer) -> Iterator[Finding]:
    """Set a tag of an experiment and keep a file, and take both away again."""
    try:
        found = server.post("experiments/search", **_NEWEST).get("experiments", [])
        if not found:
            yield Finding("mlflow.writable", "skipped", "it has no experiment yet to try it on")
            return
        experiment, key = found[0]["experiment_id"], f"{_NAME}.{secrets.token_hex(4)}"
        server.post("experiments/set-experiment-tag", experiment_id=experiment, key=key, value="1")
        server.post("experiments/delete-experiment-tag", experiment_id=experiment, key=key)
        yield Finding("mlflow.writable", "ok", "a tag was written and taken away again")
    except NoAnswerError as error:
        yield Finding(
            "mlflow.writable",
            "failed",
            f"it answers, but cannot be written ({error})",
            "look into the server's log: its database may be full, read-only, of another version",
        )
        return
    try:
        yield _file_kept(server, str(found[0].get("artifact_location", "")))
    except (NoAnswerError, OSError) as error:
        yield Finding(
            "mlflow.artifacts",
            "failed",
            f"a file cannot be kept there ({error})",
            "look into the server's log, and at --artifacts-destination: bucket, rights, disk",
        )


def _file_kept(server: MlflowServer, root: str) -> Finding:
    name = f"poise-doctor-{secrets.token_hex(8)}"
    elsewhere = "://" not in root and not Path(root).is_dir()
    if root.startswith(_THROUGH_SERVER) or elsewhere:
        path = f"api/2.0/mlflow-artifacts/artifacts/{name}"
        try:
            server.text(path, "PUT", data=b"poise")
            server.text(path, "DELETE")
        except NoAnswerError:
            if not elsewhere:  # an experiment from before the server took files itself
                raise
            return Finding(
                "mlflow.artifacts",
                "failed",
                f"the server has its clients write to {root}, which is no folder here",
                "start it with --artifacts-destination alone (it takes files itself then), or with "
                "--default-artifact-root s3://...",
            )
        return Finding("mlflow.artifacts", "ok", "a file was kept and taken away again")
    if not answers(root):
        raise NoAnswerError(f"{root}: its storage does not answer; see AWS_ENDPOINT_URL")
    place = storage.join(root, name)
    storage.write_bytes(place, b"poise")
    storage.remove(place)
    return Finding("mlflow.artifacts", "ok", f"a file was written to {root} and taken away again")


def _of_another(uri: str) -> Finding:
    parts = urlsplit(uri)
    if not parts.hostname:
        return Finding("mlflow", "skipped", f"{masked(uri)}: only MLflow itself can open that")
    try:
        place = (parts.hostname, parts.port or 5432)
        socket.create_connection(place, _BUSY_S).close()
    except (OSError, ValueError) as error:
        return Finding("mlflow.answers", "failed", f"{masked(uri)}: {in_short(error)}", _ELSEWHERE)
    return Finding("mlflow.answers", "ok", f"{masked(uri)} takes connections; no more was asked")
