"""The Ray cluster of the settings: does it answer, with our token, in our version, on all nodes?"""

import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import requests

from poise.doctor.clock import clock_finding, skew_s
from poise.doctor.finding import Finding, late
from poise.runtime.errors import ClusterError
from poise.runtime.ray_cluster.checks import CURE, answering_address
from poise.runtime.settings import Settings

_PROBE = Path(__file__).with_name("ray_probe.py")
_PROBE_S, _NODE_S = 5.5, 2.0
#: Nodes that are asked; those of one launcher are alike.
_MOST_NODES = 32
_VERSION = re.compile(r'Version="([^"]+)"')
_KNOWN_TO_IT = (
    "export RAY_AUTH_MODE=token, and have the cluster's token in ~/.ray/auth_token (chmod 600) "
    "or in RAY_AUTH_TOKEN"
)


@dataclass(frozen=True)
class _Asked:
    """What a node's own exporter of metrics says; nothing where it cannot be reached."""

    address: str
    version: str = ""
    ahead_s: float | None = None


def check(settings: Settings) -> Iterator[Finding]:
    """Ask the cluster of ``$RAY_ADDRESS`` what it is; nothing joins it."""
    token = _token_file()
    if token is not None:
        yield token
    if settings.ray_address in (None, "local"):
        yield Finding("ray", "skipped", "no $RAY_ADDRESS: Poise starts a small Ray on this machine")
        return
    try:
        address = answering_address(settings.ray_address)
    except ClusterError as error:
        yield Finding("ray.answers", "failed", str(error).removesuffix(CURE).rstrip(": "), CURE)
        return
    if "://" in address:
        yield Finding("ray.answers", "ok", f"{address}: a client server, which tells no versions")
        return
    try:
        told = _probe(address)
    except subprocess.TimeoutExpired:
        yield late("ray.answers", _PROBE_S, CURE)
        return
    if "refused" in told:
        by_token = told["refused"] == "token"
        yield Finding(
            "ray.answers",
            "failed",
            f"{address} refuses this user's token"
            if by_token
            else f"{address} takes a connection and answers no question ({told['refused']})",
            _KNOWN_TO_IT if by_token else CURE,
        )
        return
    nodes = [node for node in told["nodes"] if node["alive"]]
    yield Finding("ray.answers", "ok", f"{address}: {_resources(nodes)}")
    asked = _ask_all(nodes)
    yield _versions(told, asked)
    yield clock_finding("ray.clock", {one.address: one.ahead_s for one in asked})


def _token_file() -> Finding | None:
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    if not path.is_file() or not path.stat().st_mode & 0o077:
        return None
    return Finding(
        "ray.token",
        "warning",
        f"{path} can be read by other users of this machine, who may run code with it",
        f"chmod 600 {path}",
    )


def _probe(address: str) -> dict[str, Any]:
    command = [sys.executable, "-P", str(_PROBE), address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_PROBE_S, check=False)
    try:
        told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        return {"refused": f"Ray's client ended with code {done.returncode}"}
    return told


def _resources(nodes: list[dict[str, Any]]) -> str:
    def total(name: str) -> int:
        return int(sum(node["resources"].get(name, 0) for node in nodes))

    gpus = f", {total('GPU')} GPUs" if total("GPU") else ", no GPU"
    return f"{len(nodes)} node{'s' if len(nodes) != 1 else ''}, {total('CPU')} CPUs{gpus}"


def _ask_all(nodes: list[dict[str, Any]]) -> list[_Asked]:
    some = nodes[:_MOST_NODES]
    with ThreadPoolExecutor(max(len(some), 1)) as pool:
        return list(pool.map(_ask, some))


def _ask(node: dict[str, Any]) -> _Asked:
    address = str(node["address"])
    host = f"[{address}]" if ":" in address else address
    before = time.time()
    try:
        with requests.Session() as session:
            session.trust_env = False  # no proxy: Ray's nodes are asked directly
            answer = session.get(f"http://{host}:{node['metrics_port']}/metrics", timeout=_NODE_S)
    except (requests.RequestException, UnicodeError):
        return _Asked(address)
    found = _VERSION.search(answer.text)
    return _Asked(address, found[1] if found else "", skew_s(answer.headers.get("Date"), before))


def _versions(told: dict[str, Any], asked: list[_Asked]) -> Finding:
    ours, python = version("ray"), platform.python_version()
    head = (told.get("ray_version", ours), told.get("python_version", python))
    if head != (ours, python):
        return Finding(
            "ray.version",
            "failed",
            f"the cluster runs Ray {head[0]} on Python {head[1]}, this is Ray {ours} on {python}",
            f"pip install ray=={head[0]} here, or install requirements.lock on every node and "
            "start the cluster again",
        )
    others = [f"{one.address} ({one.version})" for one in asked if one.version not in ("", ours)]
    if others:
        return Finding(
            "ray.version",
            "failed",
            f"Ray is {ours} here and at the head, but not at {', '.join(others)}",
            "install requirements.lock on these nodes, and start Ray there again",
        )
    silent = [one.address for one in asked if not one.version]
    said = f"Ray {ours} on Python {python}, as here"
    if silent:
        return Finding(
            "ray.version",
            "warning",
            f"{said}, at the head; {', '.join(silent)} cannot be asked from here",
            "run poise doctor on the head, or open the nodes' metrics ports to this machine",
        )
    return Finding("ray.version", "ok", f"{said}, on all nodes")
