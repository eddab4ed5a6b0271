"""A cache on this machine's own disk: folders that are made once, for all processes, up to a size.

The lock on an entry is the kernel's and ends with the process that holds it.
"""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from poise.runtime.errors import LakeError
from poise.runtime.places import cannot_write
from poise.runtime.settings import VARIABLES, Settings


@dataclass(frozen=True)
class NodeCache:
    """Folders by name, of which those go first that were not used for longest.

    Attributes:
        folder: nobody else's; it is made where it is missing.
        limit_bytes: what all entries may take; the one in use stays even if it alone takes more.
    """

    folder: Path
    limit_bytes: int

    @classmethod
    def of_settings(cls) -> Self:
        """Return the one that the settings of this process name."""
        settings = Settings.current()
        shared = Path(tempfile.gettempdir()) / f"poise-cache-{os.getuid()}"
        return cls(settings.cache or shared, int(settings.cache_gb * 1e9))

    @contextmanager
    def entry(self, name: str, make: Callable[[Path], None]) -> Iterator[Path]:
        """Yield a folder that ``make`` has filled, in this process or before in another one.

        It is there until the block ends; what was mapped from its files by then stays mapped.

        Raises:
            LakeError: the disk is full, or the folder of the cache cannot be written.
        """
        whole = self.folder / name
        with ExitStack() as held:
            try:
                self._own()
                lock = held.enter_context((self.folder / f"{name}.lock").open("a"))
                self._hold(lock, whole, make)
            except OSError as error:
                where = f"{self.folder} (see ${VARIABLES['cache']})"
                raise LakeError(cannot_write(where, error)) from error
            yield whole

    def used_bytes(self, since: float) -> int:
        """Size of the entries that somebody has made or used since then, in seconds as `time`."""
        sizes = 0
        for lock in self.folder.glob("*.lock"):
            for folder in _folders(lock):
                sizes += _size(folder) if _used(folder) >= since else 0
        return sizes

    def _hold(self, lock: IO[str], whole: Path, make: Callable[[Path], None]) -> None:
        """Share the lock on an entry that is there."""
        while True:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not whole.is_dir():
                self._make(whole, make)
            now = time.time_ns()  # the kernel's own is the same for milliseconds
            os.utime(whole, ns=(now, now))
            fcntl.flock(lock, fcntl.LOCK_SH)
            # Between the two locks nobody has it, and whoever makes room may take it.
            if whole.is_dir():
                return

    def _own(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        mine, owner = os.getuid(), self.folder.stat().st_uid
        # A link that another user made leads to whatever he likes, and there room would be made.
        if owner != mine or self.folder.lstat().st_uid not in (mine, 0):
            raise LakeError(
                f"{self.folder} is another user's: name a folder of your own in "
                f"${VARIABLES['cache']}"
            )

    def _make(self, whole: Path, make: Callable[[Path], None]) -> None:
        draft = whole.with_name(f".{whole.name}")
        shutil.rmtree(draft, ignore_errors=True)  # of a process that was killed
        draft.mkdir()
        try:
            make(draft)
            draft.rename(whole)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        self._make_room(whole)

    def _make_room(self, new: Path) -> None:
        entries = []
        for lock in self.folder.glob("*.lock"):  # what has none is somebody else's
            folders = _folders(lock)
            entries.append((_used(folders[0]), sum(map(_size, folders)), lock, folders))
        taken = sum(size for _, size, *_ in entries)
        for _, size, lock, folders in sorted(entries):
            if taken <= self.limit_bytes:
                return
            with lock.open("a") as held:
                if lock.stem != new.name and _free(held):
                    taken -= size
                    for folder in folders:
                        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Raise `LakeError` where a file of an entry cannot be read, or not be mapped into memory."""
    try:
        yield
    except OSError as error:
        why = error.strerror or error
        raise LakeError(
            f"{folder}: cannot be read ({why}); remove it to have it made anew"
        ) from error


def _folders(lock: Path) -> list[Path]:
    """An entry, and its draft: of who holds the lock now, or of a process that was killed."""
    return [lock.with_name(name) for name in (lock.stem, f".{lock.stem}")]


def _free(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _used(folder: Path) -> float:
    """Return when an entry was used last: long ago, where another process has removed it."""
    with suppress(FileNotFoundError):
        return folder.stat().st_mtime
    return 0.0


def _size(folder: Path) -> int:
    """Count what is there; other processes make and remove entries meanwhile."""
    size = 0
    for parent, _, names in os.walk(folder):  # which takes no folder's end for a fault
        for name in names:
            with suppress(FileNotFoundError):
                size += Path(parent, name).stat().st_size
    return size
