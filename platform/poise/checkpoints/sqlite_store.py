"""An sqlite store of MLflow's: made whole or not at all, and replaced where it cannot be opened.

MLflow makes its tables in some fifty steps, in the file itself. A kill or a full disk between two
of them leaves a file that nobody can open, so they are made in a file beside it, which gets the
store's name when it is whole.
"""

import fcntl
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from functools import cache
from pathlib import Path

import mlflow.store.db.utils as schema
from alembic.script import ScriptDirectory
from sqlalchemy import URL, NullPool, create_engine
from sqlalchemy.exc import DBAPIError

from poise.runtime.errors import ModelError, in_short

log = logging.getLogger(__name__)

_PATIENCE_S = 30.0
#: What sqlite keeps beside a file. It would undo the last transaction of whatever has that name.
_BESIDE = ("-journal", "-wal", "-shm")
#: Codes of sqlite that say something about the place or the moment, and nothing about the file.
_PLACE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
}


def make_store(store: Path) -> None:
    """Make the file of an empty store where there is none; one that is there is left alone.

    Raises:
        ModelError: it cannot be written; nothing is left.
    """
    if _is_made(store):
        return
    with _alone(store):
        if not _is_made(store):
            fresh = _write(store)
            for name in _BESIDE:
                Path(f"{store}{name}").unlink(missing_ok=True)
            fresh.rename(store)


def check_store(store: Path) -> None:
    """See that MLflow can open a store.

    Raises:
        ModelError: it is damaged, of another version, or cannot be read.
    """
    why = _damage(store)
    if why:
        raise ModelError(
            f"{store} cannot be opened ({why}): put a copy back that can, or, where it is a home's "
            "own, run poise sweep there: it moves this one aside and publishes its results again"
        )


def renew_store(store: Path) -> None:
    """Move a store aside that cannot be opened, and make another in its place.

    The new one holds what the old one held if MLflow can bring a copy of it up to date, else
    nothing. A warning says what became of both.

    Raises:
        ModelError: the store is of a newer MLflow, or cannot be read or written; it stays.
    """
    if not _is_made(store) or not _damage(store):
        return
    with _alone(store):
        why = _damage(store)
        if not why:  # another process was faster
            return
        fresh = _brought_up_to_date(store)
        kept = fresh is not None
        fresh = fresh or _write(store)
        aside = store.with_name(f"{store.name}.{datetime.now():%Y%m%d-%H%M%S-%f}")
        for name in ("", *_BESIDE):
            if Path(f"{store}{name}").exists():
                Path(f"{store}{name}").rename(f"{aside}{name}")
        fresh.rename(store)
    outcome = (
        "a copy of it was brought up to date"
        if kept
        else "a new one takes what this sweep's folder holds; other sweeps of this home come back "
        "by poise sweep --plan NAME --publish-only"
    )
    log.warning("%s could not be opened (%s) and is now %s; %s", store, why, aside.name, outcome)


def _damage(store: Path) -> str:
    """Say why MLflow could not open a store; empty where it can."""
    try:
        with closing(sqlite3.connect(store, timeout=_PATIENCE_S)) as connection:
            found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            tables = {name for (name,) in found}
            if "alembic_version" not in tables:
                return "it is no store of MLflow's, or was never finished"
            steps = connection.execute("SELECT version_num FROM alembic_version").fetchall()
            (checked,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        if _is_of_the_place(error):
            raise ModelError(f"{store} cannot be read ({in_short(error)})") from error
        return str(error)
    if checked != "ok":
        return str(checked).splitlines()[-1]
    head, known = _versions()
    if any(step not in known for (step,) in steps):
        raise ModelError(
            f"{store} was made by a newer MLflow than the one that is installed here: install that "
            "one, or name another store with --tracking-uri"
        )
    if steps != [(head,)] or not tables.issuperset(schema.Base.metadata.tables):
        return "its tables are those of an earlier version, or were never finished"
    return ""


@cache
def _versions() -> tuple[str, frozenset[str]]:
    """Return the version of MLflow's tables, and all there were."""
    steps = ScriptDirectory.from_config(schema._get_alembic_config(""))
    known = frozenset(step.revision for step in steps.walk_revisions())
    return schema._get_latest_schema_revision(), known


def _is_made(store: Path) -> bool:
    return store.is_file() and store.stat().st_size > 0


def _write(store: Path, source: Path | None = None) -> Path:
    """Write a store's file beside it: empty, or what another holds, brought up to date."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    scratch = store.with_name(f".{store.name}.new")
    try:
        _remove(scratch)  # of somebody who was killed
        if source is not None:
            with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(scratch)) as new:
                old.backup(new)
        url = URL.create("sqlite", database=str(scratch))
        schema._initialize_tables(create_engine(url, poolclass=NullPool))
        return scratch
    except BaseException as error:
        _remove(scratch)
        cause = error.orig if isinstance(error, DBAPIError) else error
        if _is_of_the_place(cause):
            raise ModelError(
                f"{store} cannot be written ({cause}): make room, or name another home"
            ) from error
        raise


def _brought_up_to_date(store: Path) -> Path | None:
    try:
        fresh = _write(store, store)
    except ModelError:
        raise
    except Exception:  # whatever MLflow's steps come upon in a file that they do not fit
        log.debug("no copy of %s can be brought up to date", store, exc_info=True)
        return None
    return None if _damage(fresh) else fresh


def _remove(file: Path) -> None:
    for name in ("", *_BESIDE):
        Path(f"{file}{name}").unlink(missing_ok=True)


def _is_of_the_place(error: BaseException | None) -> bool:
    # The lower byte of a code is its kind.
    return isinstance(error, OSError) or getattr(error, "sqlite_errorcode", 0) & 0xFF in _PLACE


@contextmanager
def _alone(store: Path) -> Iterator[None]:
    """Let no other process make or move the store inside the block."""
    try:
        store.parent.mkdir(parents=True, exist_ok=True)
        file = store.with_name(f".{store.name}.lock").open("a")
    except OSError as error:
        raise ModelError(
            f"{store} cannot be written ({error.strerror}): name another home"
        ) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
