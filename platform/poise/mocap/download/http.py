"""Fetch files over HTTP through stalls, cuts and restarts.

Own code: pooch 1.9 and fsspec begin a file anew after every cut or stall, so that where connections
end after 20 kB they never get a file of 260 kB.
"""

import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urljoin

import requests
from urllib3.exceptions import HTTPError

from poise.mocap.download.deadline import Deadline, deadline, timed_session
from poise.runtime.errors import PoiseError, in_short

T = TypeVar("T")

#: What a cut loses is at most one of these.
_CHUNK: Final = 1 << 13
_RETRIED: Final = (408, 429, 500, 502, 503, 504)
_LONGEST_PAUSE_S: Final = 60.0
_REDIRECTS: Final = (301, 302, 303, 307, 308)
_MOST_REDIRECTS: Final = 5


class FetchError(PoiseError):
    """A file could not be fetched; the part that arrived is kept for the next run."""


class MissingError(FetchError):
    """The server says that there is no such file."""


class UnreachableError(FetchError):
    """The server does not answer at all: other files of it need not be tried."""


class _TryAgainError(Exception):
    """Something that may pass: no answer, a stall, a cut, a busy server."""

    def __init__(self, reason: str, pause_s: float = 0.0, answered: bool = True) -> None:
        super().__init__(reason)
        self.pause_s = pause_s
        self.answered = answered


@dataclass(frozen=True)
class Patience:
    """How long to wait for a server, and how often to try.

    Attributes:
        connect_s: longest wait for a connection.
        stall_s: longest silence within an answer.
        tries: attempts in a row without a new byte, after which a file is given up.
        pause_s: wait before the second attempt; it doubles with every further one.
    """

    connect_s: float = 10.0
    stall_s: float = 30.0
    tries: int = 5
    pause_s: float = 1.0


@dataclass(frozen=True)
class Limits:
    """How much a server may send, whatever is asked for.

    Attributes:
        file_bytes: of a file; the longest take of CMU has 20 MB.
        page_bytes: of a page.
        file_s: until a file is there, all attempts together.
    """

    file_bytes: int = 2**28
    page_bytes: int = 2**22
    file_s: float = 900.0


class Downloader:
    """Fetches files; may be shared by threads."""

    def __init__(
        self, patience: Patience, progress: Callable[[int], None], limits: Limits | None = None
    ) -> None:
        """Make one; ``progress`` is a callback with the size of every piece that arrives."""
        self._patience = patience
        self._limits = limits or Limits()
        self._progress = progress
        self._local = threading.local()
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Make all threads stop at their next piece or pause."""
        self._stopped.set()

    def answers(self, url: str) -> bool:
        """Ask once, and say whether there was any answer."""
        with deadline(self._limits.file_s):
            try:
                self._get(url, {}).close()
            except MissingError:
                return True
            except (FetchError, _TryAgainError):
                return False
            return True

    def page(self, url: str) -> str:
        """Return a small page as text.

        Raises:
            MissingError: 404.
            UnreachableError: no answer.
            FetchError: it keeps failing, or is too large.
        """
        return self._persist(url, lambda: self._page(url), lambda: 0)

    def file(self, url: str, target: Path) -> str:
        """Fetch a file and return its SHA-256.

        What arrives goes to ``<target>.part``; a later attempt or run asks for the rest, provided
        that the server can tell that its file is unchanged. ``target`` appears when it is complete.

        Raises:
            MissingError: 404.
            UnreachableError: no answer.
            FetchError: it keeps failing, is too large, or a web page came instead of the file.
        """
        part = target.with_name(target.name + ".part")
        tag = target.with_name(target.name + ".part.tag")
        target.parent.mkdir(parents=True, exist_ok=True)
        self._persist(url, lambda: self._piece(url, part, tag), lambda: _size(part))
        with part.open("rb") as stream:
            if stream.read(1024).lstrip()[:1] == b"<":
                part.unlink()
                raise FetchError(f"{url}: a web page came instead of the file; is a proxy between?")
            stream.seek(0)
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        tag.unlink(missing_ok=True)
        part.replace(target)
        return digest

    def _persist(self, url: str, attempt: Callable[[], T], arrived: Callable[[], int]) -> T:
        with deadline(self._limits.file_s) as limit:
            return self._tried(url, lambda: self._in_time(url, attempt, limit), arrived)

    def _in_time(self, url: str, attempt: Callable[[], T], limit: Deadline) -> T:
        try:
            found = attempt()
        except _TryAgainError:
            if not limit.is_over:
                raise
        else:
            if not limit.is_over:  # what was cut may look as if it were whole
                return found
        raise _too_much(url, f"{self._limits.file_s:g} s")

    def _tried(self, url: str, attempt: Callable[[], T], arrived: Callable[[], int]) -> T:
        best = arrived()
        failures = 0
        while True:
            try:
                return attempt()
            except _TryAgainError as error:
                size = arrived()
                failures = 0 if size > best else failures + 1
                best = max(best, size)
                if failures >= self._patience.tries:
                    kind = FetchError if error.answered else UnreachableError
                    raise kind(
                        f"{url}: {error} ({failures} attempts); check the network and --base-url; "
                        "the same command goes on where this one stopped"
                    ) from None
                pause = self._patience.pause_s * 2 ** max(failures - 1, 0)
                if self._stopped.wait(min(max(pause, error.pause_s), _LONGEST_PAUSE_S)):
                    raise FetchError(f"{url}: interrupted") from None

    def _get(self, url: str, headers: dict[str, str]) -> requests.Response:
        # Compressed bytes could neither be counted nor resumed.
        headers = {"Accept-Encoding": "identity"} | headers
        asked = url
        for _ in range(_MOST_REDIRECTS + 1):
            answer = self._asked(asked, headers)
            if answer.status_code not in _REDIRECTS:
                return _answered(url, answer)
            answer.close()  # its body has no end but the server's
            leads_to = answer.headers.get("Location", "")
            try:
                asked = urljoin(asked, leads_to)
            except ValueError:
                asked = ""
            schemes = ("https://",) if url.startswith("https:") else ("http://", "https://")
            if not asked.startswith(schemes):
                raise FetchError(
                    f"{url}: the server leads to {leads_to:.200}, which is no address, or is "
                    "unencrypted"
                )
        raise FetchError(f"{url}: the server leads on and on")

    def _asked(self, url: str, headers: dict[str, str]) -> requests.Response:
        if not hasattr(self._local, "session"):
            self._local.session = timed_session()
        session: requests.Session = self._local.session
        timeout = (self._patience.connect_s, self._patience.stall_s)
        try:
            return session.get(url, headers=headers, timeout=timeout, stream=True)
        except (requests.ConnectionError, requests.Timeout) as error:
            raise _TryAgainError(f"no answer ({in_short(error)})", answered=False) from None
        except (requests.RequestException, HTTPError, ValueError) as error:
            raise FetchError(f"{url}: {in_short(error)}") from None

    def _page(self, url: str) -> str:
        try:
            with self._get(url, {}) as answer:
                content = b"".join(self._pieces(answer, self._limits.page_bytes))
                # In no encoding that the server names: some of Python's take hours, or are none.
                return content.decode("utf-8", "replace")
        except HTTPError as error:
            raise _TryAgainError(f"the connection was cut ({in_short(error)})") from None

    def _piece(self, url: str, part: Path, tag: Path) -> None:
        """Bring ``part`` up to the whole file, or raise with what arrived kept."""
        start = _size(part)
        headers: dict[str, str] = {}
        if start and tag.is_file():
            headers = {"Range": f"bytes={start}-", "If-Range": tag.read_text(encoding="ascii")}
        with self._get(url, headers) as answer:
            if answer.status_code == 416:
                part.unlink(missing_ok=True)
                raise _TryAgainError("the server has less of the file than arrived before")
            resumed = answer.status_code == 206 and _starts_at(answer, start)
            if answer.status_code == 206 and not resumed:
                part.unlink(missing_ok=True)
                raise _TryAgainError("the server sent another piece than asked for")
            if not resumed:
                start = 0
                _remember(answer, tag)
            self._receive(answer, part, start)

    def _receive(self, answer: requests.Response, part: Path, start: int) -> None:
        length = _length(answer)
        size, most = start, self._limits.file_bytes
        if start + (length or 0) > most:
            part.unlink(missing_ok=True)
            raise _too_much(answer.url, f"{most:,} bytes")
        try:
            with part.open("ab" if start else "wb") as stream:
                for chunk in self._pieces(answer, most - start):
                    if self._stopped.is_set():
                        raise FetchError(f"{answer.url}: interrupted")
                    stream.write(chunk)
                    size += len(chunk)
                    self._progress(len(chunk))
        except HTTPError as error:
            raise _TryAgainError(f"stalled or cut after {size} bytes ({in_short(error)})") from None
        except OSError as error:
            raise FetchError(f"{part}: cannot be written ({error.strerror})") from None
        if length is not None and size != start + length:
            raise _TryAgainError(f"cut after {size} of {start + length} bytes")

    def _pieces(self, answer: requests.Response, most: int) -> Iterator[bytes]:
        """Yield what arrives as it arrives, as far as it may."""
        size = 0
        while chunk := answer.raw.read1(_CHUNK):
            size += len(chunk)
            if size > most:
                raise _too_much(answer.url, f"{most:,} bytes")
            yield chunk


def _answered(url: str, answer: requests.Response) -> requests.Response:
    """Return an answer that has a body; raise what any other says."""
    if answer.status_code == 404:
        answer.close()
        raise MissingError(f"{url}: not there (404)")
    if answer.status_code in _RETRIED:
        answer.close()
        raise _TryAgainError(f"the server answers {answer.status_code}", _retry_after(answer))
    if answer.status_code not in (200, 206, 416):
        answer.close()
        raise FetchError(f"{url}: the server answers {answer.status_code} {answer.reason}")
    return answer


def _too_much(url: str, what: str) -> FetchError:
    return FetchError(f"{url:.200}: more than {what}, which no take of motion takes; not fetched")


def _length(answer: requests.Response) -> int | None:
    text = answer.headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _starts_at(answer: requests.Response, start: int) -> bool:
    return answer.headers.get("Content-Range", "").startswith(f"bytes {start}-")


def _remember(answer: requests.Response, tag: Path) -> None:
    """Keep what tells later whether the file is still the same; weak tags do not."""
    known = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
    if known and not known.startswith("W/") and known.isascii():
        tag.write_text(known, encoding="ascii")
    else:
        tag.unlink(missing_ok=True)


def _retry_after(answer: requests.Response) -> float:
    text = answer.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0.0
