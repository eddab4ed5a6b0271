"""How a text file is written beside what it says: encoding, byte order mark, line ends."""

import codecs
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Self

from poise.runtime.text.files import encoding


@dataclass(frozen=True)
class TextStyle:
    """The style of a text file.

    Attributes:
        encoding: as Python calls it, without a mark.
        mark: the byte order mark, or nothing.
        line_end: between lines.
        ends_in_line: whether the last line is ended, too.
    """

    encoding: str = "utf-8"
    mark: bytes = b""
    line_end: str = "\n"
    ends_in_line: bool = True

    @classmethod
    def of(cls, content: bytes) -> Self:
        """Tell the style of a file's bytes."""
        name = encoding(content)
        mark = {
            "utf-8-sig": codecs.BOM_UTF8,
            "utf-16": content[:2],
            "utf-32": content[:4],
        }.get(name, b"")
        plain = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be",
                 codecs.BOM_UTF32_LE: "utf-32-le", codecs.BOM_UTF32_BE: "utf-32-be",
                 codecs.BOM_UTF8: "utf-8"}.get(mark, name)  # fmt: skip
        if plain == "utf-8":
            try:
                content.decode()
            except UnicodeDecodeError:
                plain = "latin-1"

        def has(text: str) -> bool:
            return text.encode(plain) in content

        line_end = "\r\n" if has("\r\n") else "\r" if has("\r") and not has("\n") else "\n"
        return cls(plain, mark, line_end, content.endswith(line_end.encode(plain)))

    def encode(self, text: str) -> bytes:
        r"""Return text, whose lines end in ``\n``, as bytes of this style."""
        return self.mark + text.replace("\n", self.line_end).encode(self.encoding, "replace")

    def encoded(self, texts: Iterable[str]) -> Iterator[bytes]:
        """Yield the bytes of a text that comes in parts."""
        style = self
        for text in texts:
            yield style.encode(text)
            style = replace(style, mark=b"")
