"""`poise fetch` from a site that sends without end, drips, has every file, or changes them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from tests.support.fetch_server import Site, serving

from poise.mocap.download import cmu, http
from poise.mocap.download.cmu import CmuFiles, DownloadReport, fetch_cmu
from poise.mocap.download.http import Downloader, FetchError, Limits, Patience

QUICK = Patience(connect_s=2.0, stall_s=2.0, tries=2, pause_s=0.01)
SMALL = Limits(file_bytes=2**20, page_bytes=2**16, file_s=1.0)
MOST_SECONDS = 8.0


class _Endless(BaseHTTPRequestHandler):
    """Sends what it is asked for until the other side has enough."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        if "declared" in self.path:
            self.send_header("Content-Length", str(10**15))
        elif "nonsense" in self.path:
            self.send_header("Content-Length", "9" * 5000)
        else:
            self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        piece, pause = (b"x", 0.05) if "drip" in self.path else (b"x" * 2**16, 0.0)
        try:
            for _ in range(10_000):
                self.wfile.write(piece)
                self.wfile.flush()
                time.sleep(pause)
        except OSError:
            return

    def log_message(self, *_: object) -> None:
        return


class _Odd(BaseHTTPRequestHandler):
    """Keeps to HTTP for as long as it likes."""

    def do_GET(self) -> None:
        begin, piece, pause = ODD[self.path.strip("/")]
        try:
            self.wfile.write(begin)
            while piece:
                self.wfile.write(piece)
                time.sleep(pause)
        except OSError:
            return

    def log_message(self, *_: object) -> None:
        return


OK, LEADS_ON = b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 302 Found\r\nLocation: "
#: What it sends once, what it sends again and again, and the seconds between.
ODD = {
    "interim": (b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.01),
    "slow-head": (OK + b"X: ", b"x", 0.05),
    "slow-heads": (OK, b"X: x\r\n", 0.05),
    "trailers": (OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n", b"X: x\r\n", 0.01),
    "chunk-size": (OK + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x" * 2**16, 0.0),
    "redirect-body": (LEADS_ON + b"/interim\r\n\r\n", b"x" * 2**16, 0.0),
    "redirect-to-itself": (LEADS_ON + b"redirect-to-itself\r\n\r\n", b"", 0.0),
    "redirect-to-a-file": (LEADS_ON + b"file:///etc/passwd\r\n\r\n", b"", 0.0),
    "redirect-to-no-address": (LEADS_ON + b"http://[::1\r\n\r\n", b"", 0.0),
    "redirect-to-no-host": (LEADS_ON + b"http://a..b/\r\n\r\n", b"", 0.0),
}
ENDS = r"more than|leads to|leads on and on|LineTooLong|no answer|label|host"


@contextmanager
def running(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize("kind", ["endless", "declared", "nonsense", "drip"])
def test_a_file_without_end_is_given_up(tmp_path: Path, kind: str) -> None:
    downloader = Downloader(QUICK, lambda size: None, SMALL)
    clock = time.monotonic()
    with running(_Endless) as url, pytest.raises(FetchError, match=r"more than|cut after|stalled"):
        downloader.file(f"{url}/{kind}", tmp_path / "take.amc")
    assert time.monotonic() - clock < MOST_SECONDS
    assert not (tmp_path / "take.amc").exists()
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= SMALL.file_bytes


@pytest.mark.parametrize("kind", ["endless", "declared", "drip"])
def test_a_page_without_end_is_given_up(kind: str) -> None:
    downloader = Downloader(QUICK, lambda size: None, SMALL)
    clock = time.monotonic()
    with running(_Endless) as url, pytest.raises(FetchError, match="more than"):
        downloader.page(f"{url}/{kind}")
    assert time.monotonic() - clock < MOST_SECONDS


@pytest.mark.parametrize("kind", ODD)
def test_what_is_http_and_has_no_end_is_given_up(tmp_path: Path, kind: str) -> None:
    downloader = Downloader(QUICK, lambda size: None, SMALL)
    clock = time.monotonic()
    with running(_Odd) as url, pytest.raises(FetchError, match=ENDS):
        downloader.file(f"{url}/{kind}", tmp_path / "take.amc")
    assert time.monotonic() - clock < MOST_SECONDS
    assert not (tmp_path / "take.amc").exists()


@pytest.mark.parametrize("encoding", ["nonsense", "hex", "punycode", "unicode_escape"])
def test_no_encoding_that_a_server_names_is_used(
    monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    head = f"Content-Type: text/html; charset={encoding}\r\n\r\n".encode()
    monkeypatch.setitem(ODD, "page", (OK + head + b"a-" + b"a9b" * 10_000, b"", 0.0))
    with running(_Odd) as url:
        assert Downloader(QUICK, lambda size: None, SMALL).page(f"{url}/page").endswith("a9b")


def fetch(site: Site, folder: Path, said: list[str]) -> DownloadReport:
    return fetch_cmu(CmuFiles([7], folder, site.url), said.append, 1, QUICK)


ASF, TAKE = "/subjects/07/07.asf", "/subjects/07/07_{}.amc"


def test_a_site_that_has_every_number_is_asked_for_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cmu, "_MOST_TAKES", 20)
    files = {TAKE.format(f"{take:02d}"): b"take" for take in range(1, 60)}
    with serving(Site({ASF: b"asf", **files})) as site:
        site.faults.lists = False
        report = fetch(site, tmp_path, [])
    assert len(report.fetched) == 21
    (reason,) = report.failed
    assert "a take of every number; the first 20" in reason


def test_a_list_without_end_and_names_that_are_paths_are_cut_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cmu, "_MOST_TAKES", 3)
    listed = [f"07_{take:02d}" for take in range(9)]
    files = {TAKE.format(f"{take:02d}"): b"take" for take in range(9)}
    page = " ".join(
        f"{name}.amc" for name in [*listed, "07_../../x", f"07_{'9' * 5000}", "07_\u0663"]
    )
    with serving(Site({ASF: b"asf", **files})) as site:
        site.files["/search.php?subjectnumber=7"] = page.encode()
        site.faults.lists = False
        report = fetch(site, tmp_path, [])
    assert len(report.fetched) == 4
    assert "the site lists 9 takes; the first 3" in report.failed[0]
    assert all(tmp_path in file.parents for file in tmp_path.rglob("*"))


def test_what_a_site_gives_differently_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    take = TAKE.format("01")
    with serving(Site({ASF: b"asf", take: b"first"})) as site:
        assert fetch(site, tmp_path, said).changed == []
        (tmp_path / "07/07_01.amc").unlink()
        site.files[take] = b"second"
        report = fetch(site, tmp_path, said)
        assert report.changed == ["07/07_01.amc"]
        assert "07/07_01.amc: fetched, and differs from the one before (" in said[-1]
        (tmp_path / "07/07_01.amc").write_bytes(b"broken here")
        assert fetch(site, tmp_path, said).changed == []


@pytest.mark.parametrize("has", [True, False])
def test_a_site_is_asked_over_https_first(monkeypatch: pytest.MonkeyPatch, has: bool) -> None:
    asked: list[str] = []

    def answers(_: Any, url: str) -> bool:  # no test may listen on port 443
        asked.append(url)
        return has

    monkeypatch.setattr(http.Downloader, "answers", answers)
    said: list[str] = []
    found = cmu._encrypted("http://mocap.test/a", Downloader(QUICK, lambda size: None), said.append)
    assert asked == ["https://mocap.test/a"]
    assert found == ("https://mocap.test/a" if has else "http://mocap.test/a")
    assert len(said) == (0 if has else 1)
    assert has or "without HTTPS" in said[0]
