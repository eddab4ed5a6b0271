"""What runs on this machine is asked directly, whatever proxy the user has for the web."""

import os
from collections.abc import MutableMapping
from ipaddress import ip_address

_HOSTS = ("127.0.0.1", "localhost", "::1")


def is_loopback(host: str) -> bool:
    """Say whether only this machine reaches what listens at an address."""
    try:
        return host in _HOSTS or ip_address(host).is_loopback
    except ValueError:  # a name, of whatever
        return False


def bypass_proxies(environment: MutableMapping[str, str] = os.environ) -> None:
    """Except loopback from the proxies that this process and those it starts go through.

    urllib, requests and httpx read ``no_proxy``, or ``NO_PROXY`` where there is no such variable.
    Both are set: to what they said before, and loopback. Everything else goes through the user's
    proxy as before.

    Args:
        environment: what to change.
    """
    given = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    if given.strip() == "*":  # no proxy at all; only understood alone
        return
    hosts = [host for host in map(str.strip, given.split(",")) if host]
    hosts += [host for host in _HOSTS if host not in hosts]
    environment["no_proxy"] = environment["NO_PROXY"] = ",".join(hosts)
