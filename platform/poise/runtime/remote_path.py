"""Files of an object store as paths, for whoever only looks for them and reads them."""

import io
import os
import re
import stat
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path, PosixPath
from typing import Any, Self

from pyarrow import fs

from poise.runtime import storage

#: What a store is asked for at once.
_BUFFER = 4 * 2**20
#: A path keeps one of the two slashes.
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):/+", re.ASCII)


def place(text: str | Path) -> Path:
    """Return a path, of a URI one whose files are read from there."""
    told = str(text)
    if told.startswith("file://"):
        return Path(storage.resolve(told)[1])
    return RemotePath(told) if "://" in told else Path(told)


#: What is below some folders, while somebody remembers it.
_listed: dict[str, frozenset[str]] = {}


@contextmanager
def remembered(folder: Path) -> Iterator[None]:
    """Ask a store once for all that is below a folder, and no more until the block ends.

    Whoever looks for hundreds of files would else wait for a store as often.
    """
    if not isinstance(folder, RemotePath):
        yield
        return
    _listed[f"{folder}/"] = frozenset(
        str(found) for found in folder._within(recursive=True) if found.is_file()
    )
    try:
        yield
    finally:
        _listed.pop(f"{folder}/", None)


class RemotePath(PosixPath):
    """A file or folder behind a URI of pyarrow.fs or fsspec, such as ``s3://bucket/raw``.

    Joined, compared and sent to other processes like any path. Only what reads works.
    """

    _size: int | None = None

    def __str__(self) -> str:
        """Return the URI."""
        return _SCHEME.sub(r"\1://", super().__str__(), count=1)

    def exists(self) -> bool:
        """Say whether a file or folder is there."""
        return self._info().type != fs.FileType.NotFound

    def is_file(self) -> bool:
        """Say whether it is a file."""
        for folder, files in list(_listed.items()):
            if str(self).startswith(folder):
                return str(self) in files
        return self._size is not None or self._info().type == fs.FileType.File

    def is_dir(self) -> bool:
        """Say whether it is a folder, which in an object store is the beginning of a name."""
        return self._info().type == fs.FileType.Directory

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """Return the size and the kind; all else is 0."""
        info = self._info() if self._size is None else None
        size = info.size if info is not None else self._size
        folder = info is not None and info.type == fs.FileType.Directory
        mode = stat.S_IFDIR if folder else stat.S_IFREG
        return os.stat_result((mode, 0, 0, 0, 0, 0, size or 0, 0, 0, 0))

    def absolute(self) -> Self:
        """Return the path itself."""
        return self

    def iterdir(self) -> Generator[Self, None, None]:
        """Yield what is in the folder."""
        yield from self._within(recursive=False)

    def glob(self, pattern: str) -> Generator[Self, None, None]:
        """Yield what matches; ``*`` and ``?`` stand for no slash."""
        parts = pattern.split("/")
        fixed = next((at for at, part in enumerate(parts) if "*" in part or "?" in part), None)
        if fixed is None:
            yield from [found for found in [self.joinpath(pattern)] if found.exists()]
            return
        wanted = re.compile(re.escape(pattern).replace(r"\*", "[^/]*").replace(r"\?", "[^/]"))
        for found in self.joinpath(*parts[:fixed])._within(recursive=fixed + 1 < len(parts)):
            if wanted.fullmatch(found.relative_to(self).as_posix()):
                yield found

    def open(self, *args: Any, **more: Any) -> Any:
        """Open the file to read its bytes."""
        filesystem, inner = storage.resolve(str(self))
        with storage.reached(str(self), filesystem):
            stream: Any = filesystem.open_input_file(inner)
        return io.BufferedReader(stream, _BUFFER)

    def _info(self) -> fs.FileInfo:
        filesystem, inner = storage.resolve(str(self))
        with storage.reached(str(self), filesystem):
            return filesystem.get_file_info(inner)

    def _within(self, recursive: bool) -> Iterator[Self]:
        filesystem, inner = storage.resolve(str(self))
        wanted = fs.FileSelector(inner, allow_not_found=True, recursive=recursive)
        with storage.reached(str(self), filesystem):
            listed = filesystem.get_file_info(wanted)
        for info in listed:
            found = self.joinpath(info.path[len(inner) :].strip("/"))
            found._size = info.size if info.type == fs.FileType.File else None
            yield found
