"""Loopback is asked directly; the proxy stays for everything else."""

import contextlib
import http.server
import threading
import urllib.request
from collections.abc import Iterator

import pytest
import requests

from poise.runtime.loopback import bypass_proxies, is_loopback

DEAD = "http://127.0.0.1:9"
VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


@contextlib.contextmanager
def answering() -> Iterator[str]:
    """A server on loopback that answers everything."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"here")

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(autouse=True)
def without_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, "no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "")  # so that it is undone
        monkeypatch.delenv(name)


@pytest.mark.parametrize("proxy", VARIABLES)
@pytest.mark.parametrize(
    "without",
    [{}, {"no_proxy": "lab.org"}, {"NO_PROXY": "lab.org"}, {"no_proxy": "*"}, {"no_proxy": ""}],
)
def test_loopback_is_asked_directly(
    proxy: str, without: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {proxy: DEAD, **without}.items():
        monkeypatch.setenv(name, value)
    bypass_proxies()
    with answering() as url:
        assert urllib.request.urlopen(url, timeout=10).read() == b"here"  # noqa: S310
        assert requests.get(url, timeout=10).content == b"here"


def test_the_web_is_asked_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", DEAD)
    monkeypatch.setenv("NO_PROXY", "lab.org, 10.0.0.1")
    bypass_proxies()
    assert not urllib.request.proxy_bypass("mocap.cs.cmu.edu")
    assert urllib.request.proxy_bypass("milvus.lab.org")
    with pytest.raises(requests.exceptions.ProxyError):
        requests.get("http://mocap.invalid", timeout=10)


def test_twice_is_as_good_as_once() -> None:
    environment = {"no_proxy": "lab.org"}
    bypass_proxies(environment)
    once = dict(environment)
    bypass_proxies(environment)
    assert environment == once
    assert once["no_proxy"] == once["NO_PROXY"] == "lab.org,127.0.0.1,localhost,::1"


@pytest.mark.parametrize(
    ("host", "alone"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("localhost", True),
        ("::1", True),
        ("0.0.0.0", False),  # noqa: S104
        ("::", False),
        ("", False),
        ("10.0.0.1", False),
        ("machine.example", False),
    ],
)
def test_who_reaches_an_address(host: str, alone: bool) -> None:
    assert is_loopback(host) == alone
