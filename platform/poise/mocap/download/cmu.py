"""Fetch motion capture data from the CMU Graphics Lab Motion Capture Database."""

import fcntl
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

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
_SUMS: Final = "SHA256SUMS"
_LOCK: Final = ".fetching"
#: Where the site lists no takes, numbers are tried until so many in a row are missing.
_GAP: Final = 3
#: Of a subject; CMU's with the most has 91.
_MOST_TAKES: Final = 300
_TAKE: Final = r"([A-Za-z0-9_]{1,64})"
#: Of a checksum, as far as it is shown.
_SHOWN: Final = 12
_SUBJECTS: Final = range(1, 1000)
_NUMBERS: Final = re.compile(r"([0-9]{1,4})(?:-([0-9]{1,4}))?")


@dataclass(frozen=True)
class CmuFiles:
    """Files of the database, and where they go.

    Attributes:
        subjects: numbers of people.
        folder: where to; made if needed.
        base_url: the site, or a mirror with the same paths.
        skeletons_only: leave out the takes.
    """

    subjects: Sequence[int]
    folder: Path
    base_url: str = CMU_URL
    skeletons_only: bool = False


@dataclass
class DownloadReport:
    """What came of a download.

    Attributes:
        fetched: files that were downloaded, relative to the folder.
        kept: files that were there already, with the checksum they had.
        changed: files that the site gives with another content than it gave before.
        failed: for each missing file, why.
    """

    fetched: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def parse_subjects(text: str) -> list[int]:
    """Read ``01,02,7-9`` as numbers; raise `FetchError` where it is not such a list."""
    found: set[int] = set()
    for part in text.split(","):
        numbers = _NUMBERS.fullmatch(part.strip())
        if not numbers:
            raise FetchError(f"{text!r} is not a list of subjects; write for example 01,02,7-9")
        found.update(range(int(numbers[1]), int(numbers[2] or numbers[1]) + 1))
    if not found or not found <= set(_SUBJECTS):
        raise FetchError(f"{text!r}: subjects are numbers from 1 on; CMU has 1 to 144")
    return sorted(found)


def fetch_cmu(
    files: CmuFiles,
    progress: Callable[[str], None],
    jobs: int = 2,
    patience: Patience | None = None,
) -> DownloadReport:
    """Fetch skeleton and takes of each subject to ``folder/07/07.asf``, ``folder/07/07_01.amc``.

    Files whose checksum is that of ``folder/SHA256SUMS`` are left alone; all others are fetched.

    Args:
        files: which, and where to.
        progress: callback with a line for every file.
        jobs: files at a time.
        patience: how long to bear with the server.

    Returns:
        What came of it; single files that failed are in it and are no error.

    Raises:
        UnreachableError: the site does not answer.
        BusyError: another download writes to the folder.
        FetchError: a take whose number had to be guessed keeps failing.
    """
    with _alone(files.folder):
        lines = _Progress(progress)
        downloader = Downloader(patience or Patience(), lines.arrived)
        files = replace(files, base_url=_encrypted(files.base_url, downloader, lines.say))
        site = _Site(files, downloader, Checksums(files.folder / _SUMS), lines)
        names = [name for subject in files.subjects for name in site.plan(subject)]
        lines.expect(len(names))
        with ThreadPoolExecutor(jobs, thread_name_prefix="fetch") as pool:
            waiting = [pool.submit(site.fetch, name) for name in names]
            try:
                for future in as_completed(waiting):
                    future.result()
            except BaseException:
                downloader.stop()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return lines.report


def _encrypted(url: str, downloader: Downloader, say: Callable[[str], None]) -> str:
    """Return the address of the same site over HTTPS, where it has it."""
    parts = urlsplit(url)
    if parts.scheme != "http" or ":" in parts.netloc:
        return url
    secure = parts._replace(scheme="https").geturl()
    if downloader.answers(secure):
        return secure
    say(
        f"{parts.hostname} answers without HTTPS only: files come unencrypted; their checksums are "
        f"kept in {_SUMS}, and a later download that differs is said"
    )
    return url


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


class _Progress:
    """Counts files and bytes and says how far it is; used from all threads."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.report = DownloadReport()
        self._say = say
        self._lock = threading.Lock()
        self.expect(0)

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
            self._say(f"[{self._state()}] {line}")

    def say(self, line: str) -> None:
        with self._lock:
            self._say(line)

    def _state(self) -> str:
        seconds = max(time.monotonic() - self._clock, 1e-3)
        speed = f"{self._bytes / 1e6:.1f} MB, {self._bytes / 1e6 / seconds:.1f} MB/s"
        if not self._expected:
            return f"{self._done}, {speed}"
        left = seconds / self._done * (self._expected - self._done)
        return f"{self._done}/{self._expected}, {speed}, {left:.0f} s left"


@dataclass(frozen=True)
class _Site:
    files: CmuFiles
    downloader: Downloader
    sums: Checksums
    progress: _Progress

    @property
    def base(self) -> str:
        return self.files.base_url.rstrip("/")

    def plan(self, number: int) -> list[str]:
        """Return a subject's files; those of takes that had to be guessed are fetched at once."""
        subject = f"{number:02d}"
        skeleton = f"{subject}/{subject}.asf"
        if self.files.skeletons_only:
            return [skeleton]
        takes = self._listed(number, subject)
        if takes:
            return [skeleton] + [f"{subject}/{subject}_{take}.amc" for take in takes]
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
            self.progress.note(self.progress.report.failed, str(error), f"{name}: failed")

    def _listed(self, number: int, subject: str) -> list[str]:
        try:
            page = self.downloader.page(f"{self.base}/search.php?subjectnumber={number}")
        except UnreachableError:
            raise
        except FetchError as error:
            log.warning("no list of takes: %s", error)
            return []
        takes = sorted(set(re.findall(rf"\b{subject}_{_TAKE}\.amc\b", page)))
        if len(takes) > _MOST_TAKES:
            self._too_many(subject, f"the site lists {len(takes):,} takes")
        return takes[:_MOST_TAKES]

    def _too_many(self, subject: str, found: str) -> None:
        reason = f"subject {subject}: {found}; the first {_MOST_TAKES} are fetched"
        self.progress.note(self.progress.report.failed, reason, reason)

    def _probe(self, subject: str) -> None:
        missing = 0
        for take in range(1, _MOST_TAKES + 1):
            if missing == _GAP:
                return
            try:
                self._bring(f"{subject}/{subject}_{take:02d}.amc")
            except MissingError:
                missing += 1
            else:
                missing = 0
        self._too_many(subject, "the site has a take of every number")

    def _bring(self, name: str) -> None:
        kept = self.sums.holds(name)
        report = self.progress.report
        if kept:
            self.progress.note(report.kept, name, f"{name}: there")
            return
        url, target = f"{self.base}/subjects/{name}", self.files.folder / name
        before, digest = self.sums.of(name), self.downloader.file(url, target)
        self.sums.note(name, digest)
        again = " again: it had changed on disk" if kept is False else ""
        if before not in (None, digest):
            again = f", and differs from the one before ({digest[:_SHOWN]}, was {before[:_SHOWN]})"
            report.changed.append(name)
        self.progress.note(report.fetched, name, f"{name}: fetched{again}")
