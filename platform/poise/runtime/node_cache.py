"""A cache on this machine's own disk: folders that are made once, for all processes, up to a size.

The lock on an entry is the kernel's and ends with the process that holds it.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
        try:
            self._own()
            with (self.folder / f"{name}.lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                whole = self.folder / name
                if not whole.is_dir():
                    self._make(whole, make)
                os.utime(whole)
                fcntl.flock(lock, fcntl.LOCK_SH)
                yield whole
        except OSError as error:
            where = f"{self.folder} (see ${VARIABLES['cache']})"
            raise LakeError(cannot_write(where, error)) from error

    def _own(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.folder.stat().st_uid != os.getuid():
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
        entries = [path for path in self.folder.iterdir() if path.is_dir() and path != new]
        taken = sum(map(_size, entries)) + _size(new)
        for old in sorted(entries, key=lambda path: path.stat().st_mtime):
            if taken <= self.limit_bytes:
                return
            with (self.folder / f"{old.name}.lock").open("a") as lock:
                if _free(lock):
                    taken -= _size(old)
                    shutil.rmtree(old, ignore_errors=True)


def _free(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
