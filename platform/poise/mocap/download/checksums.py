"""Know files again by their checksums."""

import hashlib
import os
import threading
import time
from pathlib import Path


class Checksums:
    """A SHA256SUMS file, as ``sha256sum --check`` reads it."""

    def __init__(self, file: Path) -> None:
        """Read the file if it is there; lines it cannot read count for nothing."""
        self._file = file
        self._lock = threading.Lock()
        self._known: dict[str, str] = {}
        if file.is_file():
            for line in file.read_text(encoding="utf-8").splitlines():
                digest, _, name = line.partition("  ")
                if len(digest) == 64 and name:
                    self._known[name] = digest

    def holds(self, name: str) -> bool | None:
        """Tell whether a file is what it was; None where it is not there or was never noted."""
        path = self._file.parent / name
        if name not in self._known or not path.is_file():
            return None
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == self._known[name]

    def note(self, name: str, digest: str) -> None:
        """Record a file; the list on disk is whole at every moment."""
        with self._lock:
            self._known[name] = digest
            text = "".join(f"{self._known[key]}  {key}\n" for key in sorted(self._known))
            fresh = self._file.with_name(f"{self._file.name}.{os.getpid()}.{time.monotonic_ns()}")
            fresh.write_text(text, encoding="utf-8")
            fresh.replace(self._file)
