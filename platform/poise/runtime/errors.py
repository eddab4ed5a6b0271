"""What can go wrong on the platform. Every message says what, where, and what to do."""

import re

from poise.runtime.printable import printable


class PoiseError(Exception):
    """Base of every error this package raises on purpose; jobs print it without a traceback."""


class SettingsError(PoiseError):
    """An environment variable or a shared option cannot be used; the message names it."""


class ClusterError(PoiseError):
    """A Ray cluster cannot be joined or started; the message names the variable at fault."""


class TrackError(PoiseError):
    """A track is unknown, or its name is not ``dataset/estimator/representation``."""


class CatalogueError(PoiseError):
    """A TOML file that describes a data set cannot be used."""


class DataError(PoiseError):
    """A raw file or folder cannot be used at all."""


class ImageNameError(DataError):
    """The path of an image matches none of its data set's patterns."""


class LakeError(PoiseError):
    """The lake lacks a track, or holds something this version cannot read."""


class CheckpointError(PoiseError):
    """A checkpoint is missing, damaged, or made for other data."""


class NoRetrievalError(PoiseError):
    """A refiner reads neighbours, and there is no Pose Vector Database to ask."""


class PlanError(PoiseError):
    """An experiment plan is not valid."""


class ModelError(PoiseError):
    """A model name or alias leads nowhere."""


class BusyError(PoiseError):
    """Another process holds what this one needs alone."""


def expected_errors() -> tuple[type[Exception], ...]:
    """Return the roots of all errors that Poise raises on purpose, of each of its three packages.

    A command prints them as one line; any other is a mistake of ours and shows its traceback.
    """
    # Here and not above: the retrieval package takes seconds to import.
    from poise_models.errors import RefinerError
    from poise_retrieval.errors import RetrievalError

    return PoiseError, RefinerError, RetrievalError


#: What errors of networks say beside names of classes and addresses.
_KNOWN = (
    "timed out", "refused", "Connection reset", "Name or service not known",
    "Temporary failure in name resolution", "No route to host",
)  # fmt: skip
#: Names of exceptions at the beginning: ``zlib.error: ``, ``(sqlite3.DatabaseError) ``.
_NAMES = re.compile(
    r"^(Error tokenizing data\. C error: |Error -?\d+ while \w+ing data: "
    r"|\(?[A-Za-z_][\w.]*([Ee]rror|Exception)\)?:? +|<[^>]*>:? *|\[Errno \d+\] )+"
)
#: pydantic counts the problems first, and ends with addresses of its documentation.
_COUNTS = re.compile(r"^\d+ validation errors? for \S+ | \[type=.*| For further information.*")


def in_short(error: Exception) -> str:
    """Return what a library's error says, in one line and without the library's names for it."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if isinstance(error, KeyError):
        return f"{error} is missing"
    text = " ".join(str(error).split())
    for known in _KNOWN:
        if known.lower() in text.lower():
            return known.lower()
    return printable(_NAMES.sub("", _COUNTS.sub("", text))[:200]) or "no reason given"
