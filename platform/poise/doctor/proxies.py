"""Proxies for the web that would be asked for what is near."""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from urllib.parse import urlsplit

import psutil
from requests.utils import should_bypass_proxies

from poise.doctor.finding import Finding
from poise.runtime.loopback import is_loopback
from poise.runtime.settings import Settings

_NAMES = ("http_proxy", "https_proxy", "all_proxy")
_HERE = "127.0.0.1"


def check(settings: Settings) -> Iterator[Finding]:
    """Say which hosts of the settings would be asked by way of a proxy, and whether loopback."""
    given = _given()
    named = [name for name in given if name.lower() in _NAMES and given[name]]
    if not named:
        yield Finding("proxies", "skipped", "no proxy is set")
        return
    services = (settings.tracking_uri, settings.milvus_uri, settings.lake, settings.ray_address)
    hosts = {_host(one) for one in (*services, os.environ.get("AWS_ENDPOINT_URL")) if one}
    through = sorted(
        host for host in hosts if host and not is_loopback(host) and not _bypassed(host, given)
    )
    if through:
        yield Finding(
            "proxies.services",
            "failed",
            f"{', '.join(named)} would be asked for {', '.join(through)}, of these settings",
            f"export NO_PROXY={','.join(filter(None, [_no_proxy(given), *through]))}",
        )
    if not _bypassed(_HERE, given):
        yield Finding(
            "proxies.loopback",
            "warning",
            f"{', '.join(named)} would be asked for 127.0.0.1 too; Poise asks it directly, but "
            "ray job submit, curl and browsers do not",
            f"export NO_PROXY={','.join(filter(None, [_no_proxy(given), _HERE, 'localhost']))}",
        )
    elif not through:
        yield Finding("proxies", "ok", f"{', '.join(named)}: not for what these settings name")


def _given() -> Mapping[str, str]:
    """Return the environment as the user gave it: Poise excepts loopback in its own."""
    with suppress(psutil.Error, OSError):
        first = psutil.Process().environ()
        others = {name: text for name, text in os.environ.items() if name.lower() != "no_proxy"}
        return others | {name: text for name, text in first.items() if name.lower() == "no_proxy"}
    return os.environ


def _bypassed(host: str, given: Mapping[str, str]) -> bool:
    shown = f"[{host}]" if ":" in host else host
    return should_bypass_proxies(f"http://{shown}", _no_proxy(given))


def _no_proxy(given: Mapping[str, str]) -> str:
    return (given.get("no_proxy") or given.get("NO_PROXY") or "").strip()


def _host(uri: str) -> str:
    if "://" not in uri:
        uri = f"//{uri}" if ":" in uri and "/" not in uri else ""
    parts = urlsplit(uri)
    return (parts.hostname or "") if parts.scheme in ("", "http", "https", "ray") else ""
