"""Python and the packages that are installed, beside what Poise is pinned to."""

import platform
import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from poise.doctor.finding import Finding
from poise.runtime.settings import Settings

_ROOT = Path(__file__).resolve().parents[3]
_LOCK, _PROJECT = _ROOT / "requirements.lock", _ROOT / "pyproject.toml"
_PYTHON = "3.11"
_PIN = re.compile(r"^([A-Za-z0-9_.-]+)(?:\[[^\]]*\])?==([^\s;]+)$")
_NAME = re.compile(r"^[A-Za-z0-9_.-]+")
_SHOWN = 4


def check(settings: Settings) -> Iterator[Finding]:
    """Compare versions."""
    found = platform.python_version()
    yield Finding(
        "python",
        "ok" if found.startswith(f"{_PYTHON}.") else "failed",
        found,
        "" if found.startswith(f"{_PYTHON}.") else f"make the environment with Python {_PYTHON}",
    )
    needed, pins = _needed(), _pins()
    there = {name: _installed(name) for name in {*needed, *pins}}
    missing = sorted(name for name in needed if not there[name])
    if missing:
        said = f"not installed: {', '.join(missing)}"
        yield Finding("packages", "failed", said, "pip install -r requirements.lock")
        return
    # What the lock has beyond what Poise itself imports is for developers.
    other = sorted(
        f"{name} {there[name]} ({pin})"
        for name, pin in pins.items()
        if there[name] and there[name].partition("+")[0] != pin
    )
    if other:
        more = f" and {len(other) - _SHOWN} more" if len(other) > _SHOWN else ""
        yield Finding(
            "packages",
            "warning",
            f"other versions than the pinned ones: {', '.join(other[:_SHOWN])}{more}",
            "pip install -r requirements.lock; nodes of a cluster need the same",
        )
        return
    yield Finding("packages", "ok", f"{sum(map(bool, there.values()))} as pinned")


def _needed() -> list[str]:
    """Return what Poise imports: by its metadata where it is installed, else by pyproject.toml."""
    try:
        lines = [line for line in requires("poise") or [] if "extra ==" not in line]
    except PackageNotFoundError:
        if not _PROJECT.is_file():
            return []
        import tomllib

        lines = tomllib.loads(_PROJECT.read_text())["project"]["dependencies"]
    return [match[0] for line in lines if (match := _NAME.match(line))]


def _pins() -> dict[str, str]:
    if _LOCK.is_file():
        lines = _LOCK.read_text().splitlines()
    else:
        try:
            lines = [line.partition(";")[0].strip() for line in requires("poise") or []]
        except PackageNotFoundError:
            lines = []
    return {match[1]: match[2] for line in lines if (match := _PIN.match(line))}


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
