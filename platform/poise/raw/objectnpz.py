"""Read the field's object-array npz files without trusting them."""

import logging
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from poise.errors import DataError
from poise.raw import safepickle

log = logging.getLogger(__name__)

#: No split of the field comes near: all of AIST++ in SMPL poses and float64 is 3.4 GB.
MAX_MEMBER_BYTES: Final = 16 * 2**30
#: Real motion and its file names deflate by less than 30; a zip bomb by up to 1000.
MAX_RATIO: Final = 200
#: Below this size any ratio is harmless (a ground truth of all zeros deflates like a bomb).
RATIO_FREE_BYTES: Final = 64 * 2**20


def npz_keys(path: Path) -> tuple[str, ...]:
    """List the keys of an npz file; raise `DataError` where it is not one."""
    with _open(path) as archive:
        return tuple(
            name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")
        )


def read_object_npz(path: Path, keys: Iterable[str] | None = None) -> dict[str, list[Any]]:
    """Read keys of an npz file, each as a list with one entry per sequence.

    Object arrays go through a restricted unpickler: NumPy arrays, lists, strings and numbers come
    back, anything else is refused before it can run. Plain arrays are cut along their first axis.

    Args:
        path: the file.
        keys: what to read; all keys where None.

    Raises:
        DataError: the file is missing, damaged or implausibly packed, lacks a key, or a key holds
            something that is not data. The message names file, key and, where something was
            refused, what.
    """
    present = npz_keys(path)
    wanted = present if keys is None else tuple(keys)
    missing = [key for key in wanted if key not in present]
    if missing:
        raise DataError(
            f"{path}: no key {', '.join(missing)}; the file holds {', '.join(present) or 'nothing'}"
        )
    with _open(path) as archive:
        return {key: _read_member(archive, path, key) for key in wanted}


def _open(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(f"{path}: not a readable npz file ({error}); copy it again") from error


def _read_member(archive: zipfile.ZipFile, path: Path, key: str) -> list[Any]:
    where = f"{path}, key {key}"
    member = archive.getinfo(f"{key}.npy")
    _check_size(member, where)
    try:
        with archive.open(member) as stream:
            array = _read_npy(stream, member.file_size)
            if stream.read(1):
                raise ValueError("data after its end")
    except safepickle.RefusedError as error:
        raise DataError(
            f"{where}: refused {error}: only NumPy arrays, lists, strings and numbers are read, "
            "because anything else in an npz can run code; save the poses again as plain arrays"
        ) from error
    # A damaged pickle can raise anything (see safepickle.load), and so can a damaged zip member.
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise DataError(f"{where}: damaged ({reason}); copy or save the file again") from error
    return list(array)


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


def _read_npy(stream: IO[bytes], size: int) -> NDArray[Any]:
    version = npy.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"npy format {version} is for structured arrays")
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read_header(stream)
    if dtype.kind not in "fiubUSO":
        raise safepickle.RefusedError(f"an array of type {dtype}")
    if not shape:
        raise ValueError("a single value, not one entry per sequence")
    if dtype.hasobject:
        array = safepickle.load(stream)
        if not isinstance(array, np.ndarray) or array.shape != shape:
            raise ValueError("the pickled content is not the array its header announces")
        return array
    content = stream.read(size)
    return np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C").copy()
