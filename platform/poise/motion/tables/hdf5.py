"""HDF5 files that anybody may have written: nothing leads out of them, and sizes are counted."""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

from poise.motion.format import Sample
from poise.readers.untrusted.budget import Budget, BudgetError
from poise.readers.untrusted.safe_pickle import RefusedError, find
from poise.readers.untrusted.unpickler import Unpickler
from poise.runtime.errors import DataError, in_short
from poise.runtime.text.files import read_file

_MAGIC: Final = b"\x89HDF\r\n\x1a\n"


def is_hdf5(sample: Sample) -> bool:
    """Say whether a file is one."""
    return sample.head.startswith(_MAGIC)


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open a file for reading; raise `DataError` for whatever goes wrong while it is open."""
    import h5py

    try:
        with _unsaid(), h5py.File(path, "r", locking=False) as file:
            yield file
    except DataError:
        raise
    except BudgetError as error:
        raise DataError(f"{path}: refused: {error}") from None
    # A damaged file makes the library raise anything.
    except Exception as error:
        raise DataError(
            f"{path}: no whole HDF5 file ({in_short(error)}); copy or export it again"
        ) from None


@contextmanager
def _unsaid() -> Iterator[None]:
    """Raise what the library could not raise, of an object of a damaged file that it let go.

    It prints a traceback instead.
    """
    usual, found = sys.unraisablehook, list[BaseException]()

    def keep(what: "sys.UnraisableHookArgs") -> None:
        if "h5py" in str(what.object) and what.exc_value is not None:
            found.append(what.exc_value)
        else:
            usual(what)

    sys.unraisablehook = keep
    try:
        yield
    finally:
        sys.unraisablehook = usual
    if found:
        raise found[0]


@contextmanager
def changed(path: Path) -> Iterator[tuple[Any, io.BytesIO]]:
    """Open a copy of a file in memory, to change values in; raise as `opened` does."""
    import h5py

    # Of a file that is damaged in a place nobody read, a change would end the process.
    with opened(path) as whole, h5py.File(io.BytesIO(), "w") as scratch:
        for name in whole:
            whole.copy(name, scratch)
    memory = io.BytesIO(read_file(path))
    try:
        with _unsaid(), h5py.File(memory, "r+") as file:
            yield file, memory
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"{path}: cannot be changed ({in_short(error)}); write a CSV") from None


def dataset(path: Path, file: Any, name: str) -> Any:
    """Return an array's handle, checked: it lies in the file, and may be as large as it is.

    Raises:
        DataError: there is none, or it lies in another file.
    """
    import h5py

    where: Any = file
    for part in name.split("/"):
        link = where.get(part, getlink=True) if isinstance(where, h5py.Group) else None
        if link is None or not isinstance(link, h5py.HardLink):
            raise DataError(f"{path}: no {name} in it, or a link to another place")
        where = where[part]
    if not isinstance(where, h5py.Dataset) or where.is_virtual or where.external:
        raise DataError(f"{path}: {name} is no array in the file itself; export it again")
    Budget.of(path).numbers(where.shape, where.dtype.itemsize)
    return where


def texts(path: Path, file: Any, name: str) -> list[str]:
    """Return a list of names."""
    found = np.asarray(dataset(path, file, name)[()]).ravel()
    return [
        one.decode("utf-8", "replace") if isinstance(one, bytes) else str(one)
        for one in found.tolist()
    ]


def unpickled(path: Path, stored: Any) -> Any:
    """Return lists, tuples and text of a pickle in an attribute, read without running it."""
    raw = bytes(stored) if isinstance(stored, bytes) else str(stored).encode("latin-1")
    reader = _Names(io.BufferedReader(io.BytesIO(raw)), Budget(len(raw)), len(raw))
    try:
        for _ in reader.run():
            pass
    except (RefusedError, BudgetError) as error:
        raise DataError(f"{path}: refused {error} where names of columns belong") from None
    except Exception as error:
        raise DataError(f"{path}: damaged names of columns ({in_short(error)})") from None
    return reader.root


class _Names(Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        return find(module, name)
