"""What a sweep was submitted with: code, what of it nobody committed, packages, the command."""

import getpass
import hashlib
import re
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

from poise.runtime.printable import printable
from poise.runtime.settings import Settings

UNKNOWN = "unknown"
#: Bytes of a diff that are kept: what is longer holds data, not code.
LONGEST_DIFF = 500_000
_CUT = b"\n... the rest is left out: the diff has %d bytes\n"
#: A password within an address.
_PASSWORD = re.compile(r"(?<=://)[^/@\s]*@")


@dataclass(frozen=True)
class Source:
    """The code and the command of one submission.

    Attributes:
        commit: hash, or ``unknown``.
        branch: empty where unknown.
        dirty: whether files differ from the commit; None where nobody can tell, as in a Ray job.
        command: what was typed.
        user: who typed it.
        diff: of the files that differ, at most `LONGEST_DIFF` bytes.
        packages: ``name==version`` of all that is installed, a line each, after Python's own.
    """

    commit: str
    branch: str
    dirty: bool | None
    command: str
    user: str
    diff: bytes
    packages: bytes

    @classmethod
    def current(cls) -> "Source":
        """Look at the checkout and at this process."""
        named = Settings.current().commit
        changed = None if named else _git("status", "--porcelain")
        return cls(
            commit=commit_of(),
            branch="" if named else _text("rev-parse", "--abbrev-ref", "HEAD"),
            dirty=None if changed is None else bool(changed),
            command=command_line(),
            user=user_name(),
            diff=_bounded(_git("diff", "--no-color", "HEAD") or b"") if changed else b"",
            packages=_packages(),
        )

    def files(self) -> dict[str, tuple[str, bytes]]:
        """Return the packages and the diff, each under a name that tells its content."""
        found = {"packages": (f"packages-{_digest(self.packages)}.txt", self.packages)}
        if self.diff:
            found["diff"] = (f"{self.commit[:12]}-{_digest(self.diff)}.diff", self.diff)
        return found

    def facts(self) -> dict[str, str]:
        """Return what fits into a line, as it is kept with the sweep and with its trials."""
        said = {
            "commit": self.commit,
            "branch": self.branch,
            "dirty": "" if self.dirty is None else str(self.dirty).lower(),
            "command": self.command,
            "user": self.user,
            **{what: name for what, (name, _) in self.files().items()},
        }
        return {name: text for name, text in said.items() if text}


def commit_of() -> str:
    """Return the checkout's commit; in a Ray job there is no .git, so the submitter may name it."""
    return Settings.current().commit or _text("rev-parse", "HEAD") or UNKNOWN


def _text(*command: str) -> str:
    return (_git(*command) or b"").decode(errors="replace").strip()


def _git(*command: str) -> bytes | None:
    """Return what git says of this checkout; None where there is no git, or no checkout."""
    root = Path(__file__).parents[4]
    if not (root / ".git").exists():
        return None  # an installed Poise, perhaps within the checkout of something else
    try:
        asked = subprocess.run(
            ["git", "-C", str(root), *command], capture_output=True, check=False, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return asked.stdout if asked.returncode == 0 else None


def _bounded(diff: bytes) -> bytes:
    if len(diff) <= LONGEST_DIFF:
        return diff
    return diff[:LONGEST_DIFF] + _CUT % len(diff)


def _packages() -> bytes:
    found = {(one.metadata["Name"] or "").lower(): one.version for one in distributions()}
    lines = [f"{name}=={version}" for name, version in sorted(found.items()) if name]
    return "\n".join([f"# Python {sys.version.split()[0]}", *lines, ""]).encode()


def command_line() -> str:
    """Return what was typed, without passwords."""
    program, *words = sys.argv or [""]
    name = Path(program).name
    said = " ".join(["poise" if name == "__main__.py" else name, *words])
    return printable(_PASSWORD.sub("", said))


def user_name() -> str:
    """Return who runs this process; empty in a container whose user has no name."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:8]
