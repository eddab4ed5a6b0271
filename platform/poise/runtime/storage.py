"""Bytes in and out of any storage: a local path, or a URI of pyarrow.fs or fsspec."""

import os
import posixpath
import shutil
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from pyarrow import ArrowInvalid, fs

from poise.runtime.errors import DataError, LakeError, in_short

Location = str | Path

_COPY_BYTES = 8 * 2**20


def resolve(uri: Location) -> tuple[fs.FileSystem, str]:
    """Return the file system of a path or URI, and the path inside it.

    Schemes of pyarrow.fs (``file``, ``s3``, ``gs``, ``hdfs``) come first, then every scheme
    fsspec has a driver for. Raise `DataError` where neither knows it,
    `LakeError` where it cannot be reached.
    """
    text = str(uri)
    if "://" not in text:
        return fs.LocalFileSystem(), os.path.abspath(os.path.expanduser(text))
    try:
        return fs.FileSystem.from_uri(text)
    except ArrowInvalid:
        return _through_fsspec(text)
    except OSError as error:  # of buckets, whose region is asked for
        raise LakeError(f"{text}: cannot be reached ({in_short(error)})") from None


def absolute(uri: Location) -> str:
    """Return a URI as it is, and a path in full."""
    text = str(uri)
    return text if "://" in text else resolve(text)[1]


def is_local(uri: Location) -> bool:
    """Say whether the place is on this machine's own file system."""
    return isinstance(resolve(uri)[0], fs.LocalFileSystem)


def join(uri: Location, *parts: str) -> str:
    """Append path parts to a path or URI."""
    return "/".join([str(uri).rstrip("/") or "/", *parts]) if parts else str(uri)


def exists(uri: Location) -> bool:
    """Say whether a file or folder is there."""
    filesystem, path = resolve(uri)
    with reached(uri, filesystem):
        return bool(filesystem.get_file_info(path).type != fs.FileType.NotFound)


def size(uri: Location) -> int:
    """Return how many bytes a file has; 0 where there is none."""
    filesystem, path = resolve(uri)
    with reached(uri, filesystem):
        return int(filesystem.get_file_info(path).size or 0)


def stamp(uri: Location) -> tuple[int, int]:
    """Return size and time of change in ns, by which a file is known; 0 for what is not told."""
    filesystem, path = resolve(uri)
    with reached(uri, filesystem):
        info = filesystem.get_file_info(path)
    return int(info.size or 0), int(info.mtime_ns or 0)


def list_dir(uri: Location) -> list[str]:
    """Return the sorted names in a folder; empty where there is no such folder."""
    filesystem, path = resolve(uri)
    with reached(uri, filesystem):
        found = filesystem.get_file_info(fs.FileSelector(path, allow_not_found=True))
    return sorted(posixpath.basename(info.path.rstrip("/")) for info in found)


def read_bytes(uri: Location) -> bytes:
    """Return a file's content; raise `FileNotFoundError` where there is none."""
    filesystem, path = resolve(uri)
    with (
        reached(uri, filesystem),
        filesystem.open_input_stream(path, compression=None) as stream,
    ):
        return bytes(stream.read())


def write_bytes(uri: Location, data: bytes) -> None:
    """Write a file whole or not at all: nobody ever reads half of it."""
    write_parts(uri, [data])


def write_parts(uri: Location, parts: Iterable[bytes]) -> None:
    """Write a file as `write_bytes` does, part after part as they are made.

    Locally through a temporary file beside it; object stores show an object only when the
    upload is complete.
    """
    filesystem, path = resolve(uri)
    if not isinstance(filesystem, fs.LocalFileSystem):
        filesystem.create_dir(posixpath.dirname(path), recursive=True)
        data = b"".join(parts)  # before the upload begins, which what fails here would end
        with filesystem.open_output_stream(path, compression=None) as stream:
            stream.write(data)
        return
    target = Path(path)
    scratch = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with scratch.open("xb") as file:
                file.writelines(parts)
                file.flush()
                os.fsync(file.fileno())
            scratch.replace(target)
        finally:
            with suppress(OSError):
                scratch.unlink(missing_ok=True)
    except OSError as error:
        # Of the file that was asked for.
        raise OSError(error.errno, error.strerror, path) from error


class Draft:
    """A file in the making: nobody sees it before it is published under its name."""

    def __init__(self, file: IO[bytes], folder: Location) -> None:
        """Write to ``file``; ``folder`` is where it goes."""
        self.file = file
        self._folder = folder

    def publish(self, name: str) -> None:
        """Put what was written into the folder, whole."""
        self.file.flush()
        filesystem, folder = resolve(self._folder)
        target = posixpath.join(folder, name)
        if isinstance(filesystem, fs.LocalFileSystem):
            os.fsync(self.file.fileno())
            Path(self.file.name).replace(target)
            return
        self.file.seek(0)
        with filesystem.open_output_stream(target, compression=None) as stream:
            shutil.copyfileobj(self.file, stream, _COPY_BYTES)


@contextmanager
def draft(folder: Location) -> Iterator[Draft]:
    """Open a file for one whose name is known only when it is written.

    On a local file system the draft lies in the folder itself; for any other it lies in the
    machine's folder for temporary files until it is copied.
    """
    filesystem, inner = resolve(folder)
    filesystem.create_dir(inner, recursive=True)
    local = isinstance(filesystem, fs.LocalFileSystem)
    scratch = Path(inner if local else tempfile.gettempdir()) / f".draft.{uuid.uuid4().hex}"
    with scratch.open("x+b") as file:
        try:
            yield Draft(file, folder)
        finally:
            scratch.unlink(missing_ok=True)


def remove(uri: Location) -> None:
    """Remove one file; a file that is already gone is fine."""
    filesystem, path = resolve(uri)
    if filesystem.get_file_info(path).type == fs.FileType.File:
        filesystem.delete_file(path)


def remove_folder(uri: Location) -> None:
    """Remove a folder with all that is in it; one that is already gone is fine."""
    filesystem, path = resolve(uri)
    if filesystem.get_file_info(path).type == fs.FileType.Directory:
        filesystem.delete_dir(path)


@contextmanager
def reached(uri: Location, filesystem: fs.FileSystem) -> Iterator[None]:
    """Say in words that a storage elsewhere does not answer, or not to us."""
    try:
        yield
    except OSError as error:
        if isinstance(error, FileNotFoundError) or isinstance(filesystem, fs.LocalFileSystem):
            raise
        raise LakeError(f"{uri}: cannot be reached ({in_short(error)})") from None


def _through_fsspec(uri: str) -> tuple[fs.FileSystem, str]:
    import fsspec

    try:
        inner, path = fsspec.core.url_to_fs(uri)
    except (ValueError, ImportError) as error:
        raise DataError(
            f"{uri}: no driver for this storage ({error}); use a local path, s3:// or gs://, "
            "or install the fsspec driver of the scheme"
        ) from None
    handler: Any = fs.FSSpecHandler
    return fs.PyFileSystem(handler(inner)), path
