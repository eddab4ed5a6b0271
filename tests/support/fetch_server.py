"""A site with the paths of mocap.cs.cmu.edu, on loopback, that fails in the ways real ones do."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Faults:
    """What the site does wrong; counts go down as they are used.

    Attributes:
        errors: answers of this status, by path.
        cuts: bytes after which the connection is cut, one entry for each answer, by path.
        stalls: bytes after which nothing comes for ``stall_s``, by path.
    """

    errors: dict[str, list[int]] = field(default_factory=dict)
    cuts: dict[str, list[int]] = field(default_factory=dict)
    stalls: dict[str, list[int]] = field(default_factory=dict)
    stall_s: float = 1.0
    ranges: bool = True
    lists: bool = True
    web_pages: bool = False


@dataclass
class Site:
    """The files by path, the faults, and the requests so far as (path, Range header)."""

    files: dict[str, bytes]
    faults: Faults = field(default_factory=Faults)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    url: str = ""

    def asked(self, path: str) -> list[str | None]:
        return [given for asked, given in self.requests if asked == path]


@contextmanager
def serving(site: Site) -> Iterator[Site]:
    """Serve a site until the block ends."""
    handler = type("Handler", (_Handler,), {"site": site})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    site: Site
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        site, faults = self.site, self.site.faults
        path = self.path
        site.requests.append((path, self.headers.get("Range")))
        if faults.errors.get(path):
            self._answer(faults.errors[path].pop(0), b"busy")
        elif path.startswith("/search.php?subjectnumber=") and faults.lists:
            self._answer(200, self._list(int(path.partition("=")[2])).encode())
        elif path not in site.files:
            self._answer(404, b"not here")
        elif faults.web_pages:
            self._answer(200, b"<html>log in first</html>")
        else:
            self._file(path, site.files[path])

    def _list(self, subject: int) -> str:
        folder = f"/subjects/{subject:02d}/"
        names = [path for path in self.site.files if path.startswith(folder)]
        links = "".join(f'<a href="{name[1:]}">{name}</a>' for name in names)
        return f"<html><body>{links}</body></html>"

    def _file(self, path: str, content: bytes) -> None:
        tag = f'"{hash(content)}"'
        asked = self.headers.get("Range")
        start = 0
        if asked and self.site.faults.ranges and self.headers.get("If-Range") == tag:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
        if start >= len(content) > 0:
            self._answer(416, b"")
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("ETag", tag)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self._body(path, content[start:])

    def _body(self, path: str, rest: bytes) -> None:
        faults = self.site.faults
        if faults.cuts.get(path):
            self.wfile.write(rest[: faults.cuts[path].pop(0)])
            self.close_connection = True
            return
        if faults.stalls.get(path):
            place = faults.stalls[path].pop(0)
            self.wfile.write(rest[:place])
            self.wfile.flush()
            time.sleep(faults.stall_s)
            rest = rest[place:]
        try:
            self.wfile.write(rest)
        except OSError:
            self.close_connection = True  # the client has given up on a stall

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return
