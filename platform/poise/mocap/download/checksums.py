"""Checksums of downloaded files, by which changed ones are noticed."""

import hashlib
import os
import threading
import time
from pathlib import Path

from poise.runtime.text.files import read_text


class Checksums:
    """A SHA256SUMS file, as ``sha256sum --check`` reads it."""

    def __init__(self, file: Path) -> None:
        """Read the file if it is there; lines that are no checksum are ignored."""
        self._file = file
        self._lock = threading.Lock()
        self._known: dict[str, str] = {}
        if file.is_file():
            for line in read_text(file).splitlines():
                digest, _, name = line.partition("  ")
                if len(digest) == 64 and name:
                    self._known[name] = digest

    def holds(self, name: str) -> bool | None:
        """Say whether a file is unchanged; None where it is missing or has no checksum here."""
        path = self._file.parent / name
        if name not in self._known or not path.is_file():
            return None
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == self._known[name]

    def of(self, name: str) -> str | None:
        """Return the checksum that a file had; None where it was never fetched."""
        return self._known.get(name)

    def note(self, name: str, digest: str) -> None:
        """Record a file's checksum; the list on disk is replaced as a whole."""
        with self._lock:
            self._known[name] = digest
            text = "".join(f"{self._known[key]}  {key}\n" for key in sorted(self._known))
            fresh = self._file.with_name(f"{self._file.name}.{os.getpid()}.{time.monotonic_ns()}")
            fresh.write_text(text, encoding="utf-8")
            fresh.replace(self._file)
