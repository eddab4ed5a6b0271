"""Disks that are full, folders that cannot be written: what is said about them."""

import errno
import os
import tempfile
from pathlib import Path
from typing import TypeGuard

from poise.runtime.errors import DataError, in_short

_CODES = {
    errno.EACCES,
    errno.EDQUOT,
    errno.EEXIST,
    errno.EFBIG,
    errno.ENAMETOOLONG,
    errno.ENOSPC,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
}
#: Of these writing alone fails.
_FULL = {errno.EDQUOT, errno.EFBIG, errno.ENOSPC, errno.EROFS}


def is_of_a_place(error: BaseException) -> TypeGuard[OSError]:
    """Say whether a place is at fault: no second try goes better, and no line of ours is wrong."""
    return isinstance(error, OSError) and error.errno in _CODES


def must_be_free(place: Path, overwrite: bool) -> None:
    """Raise `DataError` where something is already, unless it may be written over."""
    if not overwrite and place.exists():
        raise DataError(f"{place}: is already there; name another file, or take --overwrite")


def cannot_write(place: str | Path, error: OSError) -> str:
    """Say what to do about a failed write."""
    file = error.filename if isinstance(error.filename, str) else ""
    where = f" ({file})" if file not in ("", str(place)) else ""
    reason = os.strerror(error.errno) if error.errno else error
    return (
        f"cannot write to {place}{where}: {reason}; make room or take another place (temporary "
        "files go to $TMPDIR), then run the same command again"
    )


def storage_fault(place: str | Path, error: OSError) -> str:
    """Say what to do where files were read and ``place`` was written to, and one of them failed."""
    file = error.filename if isinstance(error.filename, str) else ""
    written = (str(place).partition("://")[2] or str(place), tempfile.gettempdir())
    if error.errno in _FULL or any(one in f"{file} {error}" for one in written):
        return cannot_write(place, error)
    what = f"cannot read {file}" if file else f"cannot read raw files, or write to {place}"
    reason = in_short(error)
    return f"{what}: {reason}; see that their storage answers, then run the same command again"
