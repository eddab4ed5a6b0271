"""Read npz files of object arrays sequence by sequence, without running code from them."""

import errno
import io
import itertools
import math
import struct
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, Final, Self

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from poise.readers.untrusted import pickle_stream as picklestream
from poise.readers.untrusted import safe_pickle as safepickle
from poise.readers.untrusted.budget import Budget, BudgetError
from poise.readers.untrusted.located import (
    SMALLEST,
    AsStored,
    NotLocatedError,
    Place,
    Unpacked,
)
from poise.runtime.errors import DataError, PoiseError, in_short

#: Others may ask for gigabytes before they give a byte.
_PACKED: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_SHOWN: Final = 20
_LONGEST_KEY: Final = 80
_BUFFER: Final = 2**16
#: Of a member's head in an archive; its last four bytes say how long name and extras are.
_HEAD: Final = 30
#: Bytes of arrays of one column that are too small to be left where they are.
_MOST_INLINE: Final = 2**22


def npz_keys(path: Path) -> tuple[str, ...]:
    """List the keys of an npz file; raise `DataError` where it is not one."""
    with _open(path) as archive:
        return tuple(
            name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")
        )


def listed(keys: Iterable[str]) -> str:
    """List the keys of a file, of which it may have any number."""
    shown = [key[:_LONGEST_KEY] for key in keys]
    more = f" and {len(shown) - _SHOWN:,} more" if len(shown) > _SHOWN else ""
    return (", ".join(shown[:_SHOWN]) or "nothing") + more


class ObjectColumn:
    """One key of an npz file: one entry for each sequence, read one after the other.

    Object arrays are read by a restricted unpickler, which returns NumPy arrays, lists, strings and
    numbers and nothing else: an entry of any other kind comes as a `Refused`. Plain arrays are cut
    along their first axis. Only one entry is in memory at a time. The checksum of the column is
    checked at its end, so entries can be trusted only after all of them were read.
    """

    def __init__(
        self,
        path: Path,
        key: str,
        digest: Callable[[Any], Any] | None = None,
        alone: bool = False,
    ) -> None:
        """Open a column and read its head.

        Args:
            path: the file.
            key: the column.
            digest: function that sums up an entry; its result is yielded in place of the entry.
            alone: all of it is one entry.

        Raises:
            DataError: the file is missing, damaged or implausibly compressed, or lacks the key;
                while reading, also where an entry is not data. The message names file and key.
        """
        present = npz_keys(path)
        if key not in present:
            raise DataError(f"{path}: no key {key}; the file holds {listed(present)}")
        self.path, self.key, self._digest, self._alone = path, key, digest, alone
        with _member(path, key) as member:
            if not member.shape:
                raise DataError(f"{path}: {key} is {_single(member)}")
            member.budget.entries(member.shape[0])
            self.shape, self.dtype = member.shape, member.dtype
        self.count = 1 if alone else self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        """Yield the entries; raise `DataError` where the file turns out to be damaged."""
        with _member(self.path, self.key) as member:
            if self._alone:
                entry = list(member.values()) if member.dtype.hasobject else _whole(member)
                yield entry if self._digest is None else self._digest(entry)
            else:
                yield from _entries(member, self._digest)
            if member.stream.read(1):
                raise ValueError("data after its end")

    def locate(self, unpacked: Unpacked) -> Iterator[Any]:
        """Yield the entries as iterating does, arrays of numbers as `Located`.

        Args:
            unpacked: where arrays of a compressed column go.

        Raises:
            NotLocatedError: the entries are of a kind that has to be read in one go.
            DataError: the file turns out to be damaged.
        """
        inline = 0
        with _member(self.path, self.key) as member:
            kept = unpacked if member.base is None else AsStored(str(self.path), member.base)
            for entry in _located(member, self._alone, partial(kept.keep, member.stream)):
                if isinstance(entry, np.ndarray):
                    inline += entry.nbytes
                if isinstance(entry, list) or inline > _MOST_INLINE or _has_objects(entry):
                    raise NotLocatedError
                yield entry
            if member.stream.read(1):
                raise ValueError("data after its end")


def _has_objects(entry: Any) -> bool:
    return isinstance(entry, np.ndarray) and entry.dtype.hasobject


class _Source:
    """A file as `zipfile` reads it, whose storage's faults are no damage of the archive."""

    def __init__(self, path: Path, file: "IO[bytes]") -> None:
        self._path, self._file = path, file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1, /) -> bytes:
        try:
            return self._file.read(size)
        except OSError as error:  # which zipfile takes for a file that is none of its own
            raise _unreadable(self._path, error) from None

    def close(self) -> None:
        """Leave that to whoever opened the file."""


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(
        f"{path}: cannot be read ({in_short(error)}); see that it may be read and that its "
        "storage answers, then run the same command again"
    )


@contextmanager
def _open(path: Path) -> Iterator[zipfile.ZipFile]:
    with ExitStack() as opened:
        try:
            file = opened.enter_context(path.open("rb"))
        except FileNotFoundError:
            raise DataError(f"{path}: no such file") from None
        except OSError as error:
            raise _unreadable(path, error) from None
        try:
            archive = opened.enter_context(zipfile.ZipFile(_Source(path, file)))
        except PoiseError:  # of a store that cannot be reached
            raise
        except Exception as error:  # a damaged directory can raise anything
            raise DataError(
                f"{path}: not a readable npz file ({in_short(error)}); copy it again"
            ) from error
        yield archive


@dataclass(frozen=True)
class Member:
    """One array of an npz file, of which the head has been read.

    Attributes:
        stream: at its values.
        size: bytes it has in all.
        budget: of the file.
        shape: the first axis counts sequences.
        base: where the stream begins in the archive; None where it is compressed.
    """

    stream: "io.BufferedReader[Any]"
    size: int
    budget: Budget
    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]
    base: int | None = None

    @classmethod
    def begin(
        cls,
        stream: "io.BufferedReader[Any]",
        size: int,
        budget: Budget,
        base: int | None = None,
    ) -> Self:
        """Read the head, and check that what it announces can follow."""
        version = npy.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"npy format {version} is for structured arrays")
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read_header(stream)
        if dtype.kind not in "fiubUSO":
            raise safepickle.RefusedError(f"an array of type {dtype}")
        if max(shape, default=0) > size:
            raise BudgetError(f"announces shape {shape} in {size:,} bytes (budget: bytes)")
        if not dtype.hasobject:
            if math.prod(shape) * dtype.itemsize > size:
                raise ValueError(f"shape {shape} of {dtype} in {size:,} bytes")
            budget.numbers(shape, dtype.itemsize)
        return cls(stream, size, budget, shape, fortran, dtype, base)

    def values(
        self,
        digest: Callable[[Any], Any] | None = None,
        keep: Callable[[int], Place] | None = None,
    ) -> Iterator[Any]:
        """Read the elements of an object array."""
        return picklestream.entries(self.stream, self.shape, self.budget, self.size, digest, keep)


@contextmanager
def _member(path: Path, key: str) -> Iterator[Member]:
    where = f"{path}, key {key}"
    with _open(path) as archive:
        try:
            found, budget = archive.getinfo(f"{key}.npy"), Budget.of(path)
            if found.compress_type not in _PACKED:
                raise ValueError(f"packed by method {found.compress_type}, NumPy packs by 0 or 8")
            budget.member(found.file_size)
            with archive.open(found) as packed, io.BufferedReader(packed, _BUFFER) as stream:  # type: ignore[type-var]
                yield Member.begin(stream, found.file_size, budget, _base(archive, found))
        except safepickle.RefusedError as error:
            raise DataError(
                f"{where}: refused {error}: only NumPy arrays, lists, strings and numbers are "
                "read, because anything else in an npz can run code; save the poses again as "
                "plain arrays"
            ) from error
        except BudgetError as error:
            raise DataError(f"{where}: refused: {error}; {safepickle.NO_MOTION}") from error
        except (PoiseError, NotLocatedError, GeneratorExit):
            raise
        except OSError as error:
            if error.errno not in (None, errno.EINVAL):  # poses cannot be unpacked
                raise
            raise _damaged(where, error) from error
        # A damaged pickle can raise anything (see picklestream), and so can a damaged zip.
        except Exception as error:
            raise _damaged(where, error) from error


def _damaged(where: str, error: Exception) -> DataError:
    return DataError(
        f"{where}: damaged ({in_short(error)}); none of its sequences can be trusted: "
        "copy or save the file again"
    )


def _base(archive: zipfile.ZipFile, found: zipfile.ZipInfo) -> int | None:
    """Return where the content of a member begins in its archive; None where it is compressed."""
    if found.compress_type != zipfile.ZIP_STORED or archive.fp is None:
        return None
    archive.fp.seek(found.header_offset)
    head = archive.fp.read(_HEAD)
    name, extra = struct.unpack("<HH", head[-4:])
    return found.header_offset + _HEAD + int(name) + int(extra)


def plain_array(path: Path, key: str) -> NDArray[Any]:
    """Return a whole array of numbers or text.

    Raises:
        DataError: the file is damaged or implausibly compressed, or the key holds objects.
    """
    with _member(path, key) as member:
        if member.dtype.hasobject:
            raise DataError(f"{path}: {key} holds objects; only plain arrays are read")
        return _whole(member)


def single_value(path: Path, key: str) -> Any:
    """Return the one value of a key, however many axes it has: text, bytes, a number, None.

    Raises:
        DataError: the file is damaged, or the key holds several values.
    """
    with _member(path, key) as member:
        if math.prod(member.shape) != 1:
            raise DataError(f"{path}: {key} has shape {member.shape}, expected one value")
        if member.dtype.hasobject:
            return next(iter(member.values()))
        return _whole(member).item()


def _whole(member: Member) -> NDArray[Any]:
    flat = safepickle.from_bytes(member.stream.read(), member.dtype)
    return flat.reshape(member.shape, order="F" if member.fortran else "C")


def _single(member: Member) -> str:
    """Say what is in an array without axes, which NumPy makes of whatever is no list or array."""
    if member.dtype.hasobject:
        value = next(iter(member.values()))
        kind = value.kind if isinstance(value, safepickle.Refused) else type(value).__name__
    else:
        kind = str(member.dtype)
    if kind == "an object of type dict":
        return (
            "a dict, not entries: save its values, one entry a sequence, with "
            "np.array(list(d.values()), dtype=object)"
        )
    return f"a single value ({kind}), not entries: save an array or list, one entry a sequence"


def _entries(member: Member, digest: Callable[[Any], Any] | None) -> Iterator[Any]:
    if member.dtype.hasobject and len(member.shape) == 1:
        yield from member.values(digest)
        return
    rows: Iterator[NDArray[Any]]
    if member.dtype.hasobject:
        rows = _object_rows(member)
    elif member.fortran and len(member.shape) > 1:
        rows = iter(_whole(member))
    else:
        rows = (_numbers(member) for _ in range(member.shape[0]))
    yield from rows if digest is None else map(digest, rows)


def _located(member: Member, alone: bool, keep: Callable[[int], Place]) -> Iterator[Any]:
    if alone and not member.dtype.hasobject:
        size = math.prod(member.shape) * member.dtype.itemsize
        yield keep(size).array(member.dtype, member.shape, "F" if member.fortran else "C")
        return
    if member.dtype.hasobject and len(member.shape) == 1 and not alone:
        yield from member.values(keep=keep)
        return
    size = math.prod(member.shape[1:]) * member.dtype.itemsize
    if member.dtype.hasobject or size < SMALLEST or (member.fortran and len(member.shape) > 1):
        raise NotLocatedError
    for _ in range(member.shape[0]):
        yield keep(size).array(member.dtype, member.shape[1:], "C")


def _numbers(member: Member) -> NDArray[Any]:
    width = math.prod(member.shape[1:])
    content = member.stream.read(width * member.dtype.itemsize)
    # A row of a flat array is one value.
    row: NDArray[Any] = safepickle.from_bytes(content, member.dtype).reshape(member.shape[1:])
    return row if row.ndim else row[()]


def _object_rows(member: Member) -> Iterator[NDArray[Any]]:
    """Put the elements of an object array of several axes together again, row by row."""
    width = math.prod(member.shape[1:])
    values = member.values()
    for first in values:
        row = np.empty(width, object)
        for place, value in enumerate((first, *itertools.islice(values, width - 1))):
            row[place] = value
        yield row.reshape(member.shape[1:])
