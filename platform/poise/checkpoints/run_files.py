"""Where the files of MLflow's runs lie; MLflow writes down absolute paths, and a home may move.

A home holds ``mlflow.db`` and, beside it, ``mlartifacts/<run>/artifacts``. Whatever path the
database has, the files of a home's runs are looked for in that home.
"""

import logging
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from mlflow import MlflowClient
from mlflow.entities import Run

from poise.runtime.errors import ModelError
from poise.runtime.settings import ARTIFACTS, database

log = logging.getLogger(__name__)


def run_folder(tracking_uri: str, run: Run) -> Path | None:
    """Return the folder of a run's files; None where a server or a bucket keeps them."""
    recorded = _local(run.info.artifact_uri)
    store = database(tracking_uri)
    if recorded is None or store is None or recorded.name != "artifacts":
        return recorded
    root, here = recorded.parents[1], store.parent / ARTIFACTS
    if root == here or not (_is_of(store, root) or (here / recorded.parent.name).is_dir()):
        return recorded
    mine = here / recorded.parent.name / recorded.name
    if not mine.is_dir() and recorded.is_dir():
        log.warning("%s is not there; its files are read in %s, an earlier home", mine, recorded)
        return recorded
    return mine


def keep_files(client: MlflowClient, run: Run, local: Path, into: str = "") -> None:
    """Put a file, or the files of a folder, among those of a run.

    A home may be mounted at two places at once, each of which the database names by turns: what
    belongs to the home is put into it as it lies here, whatever the database says.
    """
    folder = run_folder(client.tracking_uri, run)
    if folder is not None:
        place = folder / into
        if local.is_dir():
            shutil.copytree(local, place, dirs_exist_ok=True)
        else:
            place.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(local, place / local.name)
    elif local.is_dir():
        client.log_artifacts(run.info.run_id, str(local), into or None)
    else:
        client.log_artifact(run.info.run_id, str(local), into or None)


def fetch_file(client: MlflowClient, run_id: str, name: str, into: Path) -> Path | None:
    """Return a file of a run, copied into a folder where a server keeps it; None without one."""
    folder = run_folder(client.tracking_uri, client.get_run(run_id))
    if folder is not None:
        return folder / name if (folder / name).is_file() else None
    if not any(one.path == name for one in client.list_artifacts(run_id)):
        return None
    return Path(client.download_artifacts(run_id, name, str(into)))


def follow_home(tracking_uri: str) -> None:
    """Have MLflow look for files in the home in which its database lies now, if that has moved.

    Raises:
        ModelError: the database names another home, and cannot be changed.
    """
    store = database(tracking_uri)
    if store is None or not store.is_file() or store.stat().st_size == 0:
        return
    here = artifact_location(store.parent / ARTIFACTS)
    with closing(sqlite3.connect(store, timeout=30.0)) as connection:
        try:
            moved = [
                (number, location)
                for number, location in connection.execute(
                    "SELECT experiment_id, artifact_location FROM experiments"
                )
                if location != here and _is_moved(store, location)
            ]
            with connection:
                for number, location in moved:
                    connection.execute(
                        "UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?",
                        (here, number),
                    )
                    connection.execute(
                        "UPDATE runs SET artifact_uri = ? || substr(artifact_uri, ?) "
                        "WHERE experiment_id = ? AND substr(artifact_uri, 1, ?) = ?",
                        (here, len(location) + 1, number, len(location), location),
                    )
        except sqlite3.Error as error:
            raise ModelError(
                f"{store} cannot be read, or names files of a home that was moved and cannot be "
                f"changed ({error})"
            ) from error
    for location in dict.fromkeys(location for _, location in moved):
        log.warning("the home was moved: %s named %s, and names %s now", store, location, here)


def artifact_location(folder: Path) -> str:
    """Return a folder as MLflow takes it: a path, or a URI where it would misread the path."""
    path = str(folder)
    return path if path == quote(path, safe="/ ") else folder.as_uri()


def _is_moved(store: Path, location: str) -> bool:
    root = _local(location)
    here = store.parent / ARTIFACTS
    return root is not None and root.resolve() != here.resolve() and _is_of(store, root)


def _is_of(store: Path, root: Path) -> bool:
    """Say whether a folder of artifacts is the one beside the database, in an earlier place.

    A folder that is there, in a place without a database, is one that the user chose.
    """
    there = not root.is_dir() or (root.parent / store.name).is_file()
    return root.name == ARTIFACTS and there


def _local(uri: str) -> Path | None:
    if uri.startswith("file:"):
        return Path(unquote(urlsplit(uri).path))
    return None if ":/" in uri else Path(uri)
