"""The files of a ``multipart/form-data`` body."""

import re
from email.message import Message
from typing import Final

from poise.runtime.errors import DataError

#: Frames of a recording, one a file.
MOST_FILES: Final = 10_000
_MOST_HEAD: Final = 4096


def files_of(content_type: str, body: bytes) -> list[tuple[str, bytes]]:
    """Names and contents of the files of a form, fields without a file's name left out.

    Raises:
        DataError: it is no form, holds no file, or too many.
    """
    said = Message()
    said["Content-Type"] = content_type
    boundary = said.get_param("boundary")
    if not isinstance(boundary, str) or not 1 <= len(boundary) <= 70:
        raise DataError("the form has no boundary in its Content-Type")
    mark = b"--" + boundary.encode("latin-1", "replace")
    parts = (b"\r\n" + body).split(b"\r\n" + mark, MOST_FILES + 2)
    if len(parts) > MOST_FILES + 2:
        raise DataError(f"more than {MOST_FILES:,} files: split the recording")
    if len(parts) < 3 or not parts[-1].startswith(b"--"):
        raise DataError("the form does not end: send it again")
    found = []
    for part in parts[1:-1]:
        head, blank, content = part.partition(b"\r\n\r\n")
        if not blank or len(head) > _MOST_HEAD:
            raise DataError("the form has a part without a head")
        name = re.search(r'filename="([^"]*)"', head.decode("utf-8", "replace"), re.IGNORECASE)
        if name:
            found.append((name[1], content))
    if not found:
        raise DataError('the form holds no file: a part needs filename="..."')
    return found
