"""Read npz files of object arrays sequence by sequence, without running code from them."""

import io
import itertools
import math
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Self

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from poise.readers import pickle_stream as picklestream
from poise.readers import safe_pickle as safepickle
from poise.runtime.errors import DataError

#: No split of the field comes near: all of AIST++ in SMPL poses and float64 is 3.4 GB.
MAX_MEMBER_BYTES: Final = 16 * 2**30
#: Real motion and its file names deflate by less than 30; a zip bomb by up to 1000.
MAX_RATIO: Final = 200
#: Below this size any ratio is harmless (a ground truth of all zeros deflates like a bomb).
RATIO_FREE_BYTES: Final = 64 * 2**20
_BUFFER: Final = 2**16


def npz_keys(path: Path) -> tuple[str, ...]:
    """List the keys of an npz file; raise `DataError` where it is not one."""
    with _open(path) as archive:
        return tuple(
            name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")
        )


class ObjectColumn:
    """One key of an npz file: one entry for each sequence, read one after the other.

    Object arrays are read by a restricted unpickler, which returns NumPy arrays, lists, strings and
    numbers and nothing else: an entry of any other kind comes as a `Refused`. Plain arrays are cut
    along their first axis. Only one entry is in memory at a time. The checksum of the column is
    checked at its end, so entries can be trusted only after all of them were read.
    """

    def __init__(self, path: Path, key: str, digest: Callable[[Any], Any] | None = None) -> None:
        """Open a column and read its head.

        Args:
            path: the file.
            key: the column.
            digest: function that sums up an entry; its result is yielded in place of the entry.

        Raises:
            DataError: the file is missing, damaged or implausibly compressed, or lacks the key;
                while reading, also where an entry is not data. The message names file and key.
        """
        present = npz_keys(path)
        if key not in present:
            raise DataError(
                f"{path}: no key {key}; the file holds {', '.join(present) or 'nothing'}"
            )
        self.path, self.key, self._digest = path, key, digest
        with _stream(path, key) as (stream, head):
            if not head.shape:
                raise DataError(f"{path}: {key} is {_single(stream, head)}")
            self.shape, self.dtype = head.shape, head.dtype
        self.count = self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        """Yield the entries; raise `DataError` where the file turns out to be damaged."""
        with _stream(self.path, self.key) as (stream, head):
            yield from _entries(stream, head, self._digest)
            if stream.read(1):
                raise ValueError("data after its end")


def _open(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(f"{path}: not a readable npz file ({error}); copy it again") from error


def _check_size(member: zipfile.ZipInfo, where: str) -> None:
    size = member.file_size
    if size > MAX_MEMBER_BYTES:
        raise DataError(
            f"{where}: unpacks to {size:,} bytes, more than {MAX_MEMBER_BYTES:,}; split the file"
        )
    if size > RATIO_FREE_BYTES and size > MAX_RATIO * member.compress_size:
        raise DataError(
            f"{where}: {member.compress_size:,} bytes unpack to {size:,}, more than {MAX_RATIO} "
            "times as many; motion does not pack like that. Save it uncompressed (np.savez) if "
            "it is right"
        )


@dataclass(frozen=True)
class _Head:
    """What the npy header says; the first axis counts sequences."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]

    @classmethod
    def read(cls, stream: IO[bytes]) -> Self:
        version = npy.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"npy format {version} is for structured arrays")
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read_header(stream)
        if dtype.kind not in "fiubUSO":
            raise safepickle.RefusedError(f"an array of type {dtype}")
        return cls(shape, fortran, dtype)


@contextmanager
def _stream(path: Path, key: str) -> Iterator[tuple["io.BufferedReader[Any]", "_Head"]]:
    where = f"{path}, key {key}"
    with _open(path) as archive:
        member = archive.getinfo(f"{key}.npy")
        _check_size(member, where)
        try:
            with archive.open(member) as packed, io.BufferedReader(packed, _BUFFER) as stream:  # type: ignore[type-var]
                yield stream, _Head.read(stream)
        except safepickle.RefusedError as error:
            raise DataError(
                f"{where}: refused {error}: only NumPy arrays, lists, strings and numbers are "
                "read, because anything else in an npz can run code; save the poses again as "
                "plain arrays"
            ) from error
        except (DataError, GeneratorExit):
            raise
        # A damaged pickle can raise anything (see picklestream), and so can a damaged zip.
        except Exception as error:
            reason = str(error) or type(error).__name__
            raise DataError(
                f"{where}: damaged ({reason}); none of its sequences can be trusted: copy or "
                "save the file again"
            ) from error


def object_value(path: Path, key: str) -> Any:
    """Return the one value of a key that holds an object: text, bytes, a number, None.

    Raises:
        DataError: the file is damaged, or the key holds several values.
    """
    with _stream(path, key) as (stream, head):
        if math.prod(head.shape) != 1 or not head.dtype.hasobject:
            raise DataError(f"{path}: {key} has shape {head.shape}, expected one value")
        return next(iter(picklestream.entries(stream, head.shape)))


def _single(stream: "io.BufferedReader[Any]", head: _Head) -> str:
    """Say what is in an array without axes, which NumPy makes of whatever is no list or array."""
    if head.dtype.hasobject:
        value = next(iter(picklestream.entries(stream, ())))
        kind = value.kind if isinstance(value, safepickle.Refused) else type(value).__name__
    else:
        kind = str(head.dtype)
    if kind == "an object of type dict":
        return (
            "a dict, not entries: save its values, one entry a sequence, with "
            "np.array(list(d.values()), dtype=object)"
        )
    return f"a single value ({kind}), not entries: save an array or list, one entry a sequence"


def _entries(
    stream: "io.BufferedReader[Any]", head: _Head, digest: Callable[[Any], Any] | None
) -> Iterator[Any]:
    width = math.prod(head.shape[1:])
    if head.dtype.hasobject and len(head.shape) == 1:
        yield from picklestream.entries(stream, head.shape, digest)
        return
    rows: Iterator[NDArray[Any]]
    if head.dtype.hasobject:
        rows = _object_rows(picklestream.entries(stream, head.shape), head)
    elif head.fortran and len(head.shape) > 1:
        flat = np.frombuffer(stream.read(), head.dtype)
        rows = iter(flat.reshape(head.shape, order="F").copy())
    else:
        rows = (_numbers(stream, width, head) for _ in range(head.shape[0]))
    yield from rows if digest is None else map(digest, rows)


def _numbers(stream: IO[bytes], width: int, head: _Head) -> NDArray[Any]:
    flat = np.frombuffer(stream.read(width * head.dtype.itemsize), head.dtype, width)
    # A copy, so that what comes back can be written to. A row of a flat array is one value.
    row: NDArray[Any] = flat.copy().reshape(head.shape[1:])
    return row if row.ndim else row[()]


def _object_rows(values: Iterator[Any], head: _Head) -> Iterator[NDArray[Any]]:
    """Put the elements of an object array of several axes together again, row by row."""
    width = math.prod(head.shape[1:])
    for first in values:
        row = np.empty(width, object)
        for place, value in enumerate((first, *itertools.islice(values, width - 1))):
            row[place] = value
        yield row.reshape(head.shape[1:])
