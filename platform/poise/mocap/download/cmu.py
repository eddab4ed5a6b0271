"""Fetch motion capture data from the CMU Graphics Lab Motion Capture Database."""

import fcntl
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from poise.mocap.download.checksums import Checksums
from poise.mocap.download.http import (
    Downloader,
    FetchError,
    MissingError,
    Patience,
    UnreachableError,
)
from poise.runtime.errors import BusyError

log = logging.getLogger(__name__)

CMU_URL: Final = "http://mocap.cs.cmu.edu"
SUMS: Final = "SHA256SUMS"
_LOCK: Final = ".fetching"
#: Where the site tells no takes, numbers are tried until so many in a row are missing.
_GAP: Final = 3
_SUBJECTS: Final = range(1, 1000)

TERMS: Final = (
    "The data used in this project was obtained from mocap.cs.cmu.edu. The database was created "
    "with funding from NSF EIA-0196217. Free for all uses; not to be resold as data."
)


@dataclass
class Outcome:
    """What came of a fetch.

    Attributes:
        fetched: files that were downloaded, relative to the folder.
        kept: files that were there already, checksum and all.
        failed: why others are missing.
    """

    fetched: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def parse_subjects(text: str) -> list[int]:
    """Read ``01,02,7-9`` as numbers; raise `FetchError` where it is not such a list."""
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if not first.isdigit() or not (last or first).isdigit():
            raise FetchError(f"{text!r} is not a list of subjects; write for example 01,02,7-9")
        found.update(range(int(first), int(last or first) + 1))
    if not found or not found <= set(_SUBJECTS):
        raise FetchError(f"{text!r}: subjects are numbers from 1 on; CMU has 1 to 144")
    return sorted(found)


def fetch_cmu(
    subjects: Sequence[int],
    folder: Path,
    base_url: str = CMU_URL,
    jobs: int = 2,
    skeletons_only: bool = False,
    patience: Patience | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> Outcome:
    """Fetch skeleton and takes of each subject to ``folder/07/07.asf``, ``folder/07/07_01.amc``.

    Files whose checksum is that of ``folder/SHA256SUMS`` are left alone; all others are fetched.

    Args:
        subjects: numbers.
        folder: where to; made if needed.
        base_url: the site, or a mirror with the same paths.
        jobs: files at a time.
        skeletons_only: leave out the takes.
        patience: with the server.
        report: called with a line for every file.

    Returns:
        What came of it; single files that failed are in it and are no error.

    Raises:
        UnreachableError: the site does not answer.
        BusyError: another fetch writes to the folder.
        FetchError: a take whose number had to be guessed keeps failing.
    """
    with _alone(folder):
        return _fetch(subjects, folder, base_url, jobs, skeletons_only, patience, report)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / _LOCK).open("a")
    except OSError as error:
        raise FetchError(f"{folder}: cannot be written to ({error.strerror})") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(f"{folder}: another fetch writes there; wait for its end") from None
        yield


def _fetch(
    subjects: Sequence[int],
    folder: Path,
    base_url: str,
    jobs: int,
    skeletons_only: bool,
    patience: Patience | None,
    report: Callable[[str], None],
) -> Outcome:
    progress = _Progress(report)
    downloader = Downloader(patience or Patience(), progress.arrived)
    site = _Site(base_url.rstrip("/"), downloader, folder, Checksums(folder / SUMS), progress)
    names = [name for subject in subjects for name in site.plan(subject, skeletons_only)]
    progress.expect(len(names))
    with ThreadPoolExecutor(jobs, thread_name_prefix="fetch") as pool:
        waiting = [pool.submit(site.fetch, name) for name in names]
        try:
            for future in as_completed(waiting):
                future.result()
        except BaseException:
            downloader.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return progress.outcome


class _Progress:
    """Counts, and says so; used from all threads."""

    def __init__(self, report: Callable[[str], None]) -> None:
        self.outcome = Outcome()
        self._report = report
        self._lock = threading.Lock()
        self._bytes = 0
        self._expected = 0
        self._done = 0
        self._clock = time.monotonic()

    def expect(self, files: int) -> None:
        self._expected, self._done, self._bytes = files, 0, 0
        self._clock = time.monotonic()

    def arrived(self, size: int) -> None:
        with self._lock:
            self._bytes += size

    def note(self, target: list[str], entry: str, line: str) -> None:
        with self._lock:
            target.append(entry)
            self._done += 1
            self._report(f"[{self._state()}] {line}")

    def say(self, line: str) -> None:
        with self._lock:
            self._report(line)

    def _state(self) -> str:
        seconds = max(time.monotonic() - self._clock, 1e-3)
        speed = f"{self._bytes / 1e6:.1f} MB, {self._bytes / 1e6 / seconds:.1f} MB/s"
        if not self._expected:
            return f"{self._done}, {speed}"
        left = seconds / self._done * (self._expected - self._done)
        return f"{self._done}/{self._expected}, {speed}, {left:.0f} s left"


@dataclass(frozen=True)
class _Site:
    base: str
    downloader: Downloader
    folder: Path
    sums: Checksums
    progress: _Progress

    def plan(self, number: int, skeletons_only: bool) -> list[str]:
        """Return a subject's files; those of takes that had to be guessed are fetched at once."""
        subject = f"{number:02d}"
        skeleton = f"{subject}/{subject}.asf"
        if skeletons_only:
            return [skeleton]
        takes = self._listed(number, subject)
        if takes:
            return [skeleton, *(f"{subject}/{subject}_{take}.amc" for take in takes)]
        self.progress.say(f"subject {subject}: the site lists no takes; trying numbers")
        self._probe(subject)
        return [skeleton]

    def fetch(self, name: str) -> None:
        """Fetch a file unless it is there; note the failure of this file alone."""
        try:
            self._bring(name)
        except UnreachableError:
            raise
        except FetchError as error:
            self.progress.note(self.progress.outcome.failed, str(error), f"{name}: failed")

    def _listed(self, number: int, subject: str) -> list[str]:
        try:
            page = self.downloader.page(f"{self.base}/search.php?subjectnumber={number}")
        except UnreachableError:
            raise
        except FetchError as error:
            log.warning("no list of takes: %s", error)
            return []
        return sorted(set(re.findall(rf"\b{subject}_(\w+)\.amc\b", page)))

    def _probe(self, subject: str) -> None:
        missing = take = 0
        while missing < _GAP:
            take += 1
            try:
                self._bring(f"{subject}/{subject}_{take:02d}.amc")
            except MissingError:
                missing += 1
            else:
                missing = 0

    def _bring(self, name: str) -> None:
        kept = self.sums.holds(name)
        if kept:
            self.progress.note(self.progress.outcome.kept, name, f"{name}: there")
            return
        digest = self.downloader.file(f"{self.base}/subjects/{name}", self.folder / name)
        self.sums.note(name, digest)
        again = " again: it had changed on disk" if kept is False else ""
        self.progress.note(self.progress.outcome.fetched, name, f"{name}: fetched{again}")
