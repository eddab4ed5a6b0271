"""Text files as people have them: UTF-8 or UTF-16, with or without a byte order mark, any line end.

Every reader of text (TOML, YAML, motion capture, checksums, HTTP bodies) goes through here.
"""

import codecs
from pathlib import Path
from typing import Final, Literal, TextIO

from poise.runtime.errors import DataError

#: UTF-32's mark of little-endian files begins with that of UTF-16: it comes first.
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAMPLE: Final = 16
_MOST_BYTES: Final = 2**28
#: What editors of old and broken copies leave at the end: NUL, and DOS's end of file.
_END: Final = "\0\x1a"


def read_text(path: Path, otherwise: Literal["refuse", "latin-1"] = "refuse") -> str:
    r"""Read a text file; every line ends in ``\n``, and there is no byte order mark.

    Args:
        path: the file.
        otherwise: what to do with a file that is no UTF-8: refuse it, or take its bytes as Latin-1,
            for formats whose numbers and keywords are ASCII whatever the names are in.

    Raises:
        DataError: the file cannot be read, or is no text; the message says what to do.
    """
    content = read_file(path)
    try:
        return decode(content)
    except UnicodeDecodeError as error:
        if otherwise == "latin-1" and error.encoding == "utf-8":
            return _tidy(content.decode("latin-1"))
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}, line {line}: is no {error.encoding.upper()} text; save the file as UTF-8"
        ) from None


def read_file(path: Path) -> bytes:
    """Return what is in a file that has to be in memory as a whole.

    Raises:
        DataError: it cannot be read, is no file (a pipe or a device has no end), or is so large
            that memory may not hold what is made of it.
    """
    try:
        size = path.stat().st_size
        if path.exists() and not path.is_file():
            raise DataError(f"{path}: is no file")
        if size > _MOST_BYTES:
            raise DataError(
                f"{path}: {size:,} bytes are more than {_MOST_BYTES:,}, which is 40 minutes of a "
                "whole body at 120 frames a second; cut it into takes"
            )
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None


def open_text(path: Path) -> TextIO:
    """Open a text that need not be in memory as a whole; its line ends stay as they are.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            name = encoding(file.read(_SAMPLE))
        return path.open(encoding=name, newline="")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None


def decode(content: bytes) -> str:
    """Decode text by its byte order mark, without one as UTF-8; tidy its line ends.

    Raises:
        UnicodeDecodeError: it is in another encoding.
    """
    return _tidy(content.decode(encoding(content)))


def encoding(content: bytes) -> str:
    """Return the encoding of a text that begins with these bytes."""
    for mark, name in _MARKS:
        if content.startswith(mark):
            return name
    # Without a mark: what people write begins with ASCII, which leaves every other byte 0.
    even, odd = content[0:_SAMPLE:2], content[1:_SAMPLE:2]
    if odd and not any(odd) and all(even):
        return "utf-16-le"
    if odd and not any(even) and all(odd):
        return "utf-16-be"
    return "utf-8"


def _tidy(text: str) -> str:
    # One mark more is what is left where marked files were put together.
    text = text.lstrip("\ufeff")
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip(_END)
