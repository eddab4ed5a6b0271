"""Requests that are files, and the files that answer them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from poise.client.errors import ClientError

#: A file of the same format, or of that asked for.
ANY: Final = "*/*"
_OCTETS: Final = "application/octet-stream"


@dataclass(frozen=True)
class RefinedFile:
    """A refined file as the service sends it.

    Attributes:
        name: that it may have.
        content: its bytes; of a folder of files a zip.
        kind: its media type.
        model: what refined it: a model's name, and its version, if any, after a ``/``.
    """

    name: str
    content: bytes
    kind: str
    model: str = ""

    def write(self, place: str | Path) -> Path:
        """Write it to a file, or under its own name into a folder; return where it is."""
        path = Path(place)
        path = path / self.name if path.is_dir() else path
        try:
            path.write_bytes(self.content)
        except OSError as error:
            raise ClientError(f"{path} cannot be written ({error.strerror})") from None
        return path


def sent_of(path: str | Path, accept: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """What to send of a file, or of a folder whose files are one recording.

    Raises:
        ClientError: there is nothing to read.
    """
    source = Path(path)
    asked = {name: value for name, value in options.items() if value is not None}
    try:
        if not source.is_dir():
            return {
                "params": {"filename": source.name, **asked},
                "headers": {"Content-Type": _OCTETS, "Accept": accept},
                "content": source.read_bytes(),
            }
        files = [(one.name, one.read_bytes()) for one in sorted(source.iterdir()) if one.is_file()]
    except OSError as error:
        raise ClientError(f"{source} cannot be read ({error.strerror})") from None
    if not files:
        raise ClientError(f"{source} holds no files")
    return {
        "params": {"filename": source.name, **asked},
        "headers": {"Accept": accept},
        "files": [("file", one) for one in files],
    }


def file_of(response: httpx.Response, path: str | Path) -> RefinedFile:
    """The file that an answer is."""
    named = re.search(r'filename="([^"/\\]+)"', response.headers.get("Content-Disposition", ""))
    kind = response.headers.get("Content-Type", _OCTETS)
    ending = ".json" if "json" in kind else ".npz"
    name = named[1] if named else f"{Path(path).stem}.poise{ending}"
    return RefinedFile(name, response.content, kind, response.headers.get("Poise-Model", ""))
