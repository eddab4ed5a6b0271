#!/usr/bin/env python3
"""Look for known vulnerabilities in the pins of `requirements.lock`, where the network allows it.

pip-audit asks a service for each of them. Without a network, or where the service knows none of
the packages, this says so within a minute and finds nothing wrong.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

LOCK = Path(__file__).resolve().parents[1] / "requirements.lock"
_SECONDS = 40
#: Known, and why they stay.
_KNOWN = {
    "CVE-2025-64513": "milvus==2.3.5, for tests alone: a server on loopback, for their duration; "
    "the last release that comes as a package",
}


def main() -> int:
    """Ask, and say what was found; return an exit code."""
    if find_spec("pip_audit") is None:
        return _skip("pip-audit is not installed")
    pins = LOCK.read_text().splitlines()
    try:
        # One alone tells whether the service is there at all.
        if not _looked_up([pin for pin in pins if pin.startswith("requests==")]):
            return _skip("the service knows none of the packages; is there a network?")
        audited = _looked_up(pins)
    except subprocess.TimeoutExpired:
        return _skip(f"the service has not answered within {_SECONDS} s")
    except (ValueError, KeyError):
        return _skip("the service does not answer")
    bad = [
        f"{package['name']}=={package['version']}: {vulnerability['id']}"
        for package in audited
        for vulnerability in package["vulns"]
    ]
    print(f"advisories: {len(audited)} of {len(pins)} packages looked up, {len(bad)} findings")
    for line in bad:
        print(f"  {line}")
    return int(bool(bad))


def _looked_up(pins: Sequence[str]) -> list[dict[str, Any]]:
    """Return what the service has to say of those packages that it knows."""
    command = [sys.executable, "-m", "pip_audit", "--no-deps", "--disable-pip"]
    command += ["--format=json", "--progress-spinner=off", "--timeout=5"]
    command += [f"--ignore-vuln={known}" for known in _KNOWN]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(pins))
        file.flush()
        command += ["--requirement", file.name]
        asked = subprocess.run(
            command, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    return [one for one in json.loads(asked.stdout)["dependencies"] if "vulns" in one]


def _skip(why: str) -> int:
    print(f"advisories: SKIPPED: {why}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
