"""JSON files piece by piece: the elements of their lists, without the rest in memory."""

import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, TextIO

from poise.motion.format import Sample
from poise.motion.style import TextStyle
from poise.runtime.errors import DataError
from poise.runtime.text.files import open_text

_BLANKS: Final = re.compile(r"[ \t\r\n]*")
_DIGITS: Final = re.compile(r"[0-9.eE+-]*")
#: Characters that are read at a time.
_BLOCK: Final = 2**20
#: Of one element: a frame of a thousand people, each of 133 joints.
_LONGEST: Final = 2**24
#: A fault so far before the end of what was read is none of its being cut there.
_NEAR: Final = 2**10
#: Bytes that tell an encoding.
_MARKED: Final = 64
#: What editors of old leave behind the text.
_END: Final = "\ufeff\0\x1a"
_DECODER: Final = json.JSONDecoder()


class Piece(NamedTuple):
    """An element of a list of the document, or one of its members that is no list.

    All pieces' texts, each behind what stands before it, are the file.

    Attributes:
        key: of the member; "" where the document is the list.
        member: number of the member, from 1; 0 where the document is the list, -1 of the last
            piece, which is what stands behind all others.
        number: of the element in its list; -1 where the member is no list.
        before: what stands before it: brackets, commas, keys, blanks.
        text: how the value is written.
        value: what it says.
    """

    key: str
    member: int
    number: int
    before: str
    text: str
    value: Any


def pieces(path: Path, stream: TextIO, block: int = _BLOCK) -> Iterator[Piece]:
    """Yield the pieces of a JSON file whose document is a list or an object, as they are read.

    Args:
        path: named in errors.
        stream: the text.
        block: characters to read at a time.

    Raises:
        DataError: it is damaged, or one element is too long for any keypoint file.
    """
    scan = _Scan(path, stream, block)
    opening = scan.next()
    if opening == "[":
        yield from _elements(scan, "", 0)
    elif opening == "{":
        yield from _members(scan)
    else:
        yield scan.piece("", 0, -1)
    if scan.next().strip(_END):
        raise scan.damaged("more behind its end")
    yield Piece("", -1, -1, scan.rest(), "", None)


def json_pieces(sample: Sample) -> Callable[[], Iterator[Piece]]:
    """Return what reads a file's pieces from the beginning, as often as it is called.

    A long file is read again each time, and the caller gets `DataError` where it was changed
    meanwhile; a short one stays in memory.
    """
    path = sample.path
    if not sample.is_long:
        text = sample.text
        return lambda: pieces(path, io.StringIO(text, newline=""))
    made = _stamp(path)

    def again() -> Iterator[Piece]:
        if _stamp(path) != made:
            raise DataError(f"{path}: was changed since it was read; read it again")
        with open_text(path) as stream:
            yield from pieces(path, stream)

    return again


def style_of(sample: Sample) -> TextStyle:
    """Return what makes bytes of the texts of a file's pieces."""
    if not sample.is_long:
        return sample.style
    found = TextStyle.of(sample.head[:_MARKED])
    plain = "utf-8" if found.encoding == "latin-1" else found.encoding  # a character that is cut
    return TextStyle(plain, found.mark)


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None
    return found.st_size, found.st_mtime_ns


def replaced(
    found: Iterator[Piece],
    member: int,
    change: Callable[[Piece], str | None],
    more: Sequence[str],
) -> Iterator[str]:
    """Yield a file's text with the elements of a list changed, left out, or put behind the others.

    Args:
        found: the file's pieces; at least one is in the list.
        member: whose list it is.
        change: returns an element's text; None leaves it out.
        more: texts of new elements.
    """
    opening, inside = "", False
    for piece in found:
        if piece.member == member and piece.number >= 0:
            inside = True
            opening = opening if piece.number else piece.before
            new = change(piece)
            if new is not None:
                yield (opening or piece.before) + new
                opening = ""
            continue
        if inside:
            for new in more:
                yield (opening or ", ") + new
                opening = ""
            yield opening
            opening, inside = "", False
        yield piece.before + piece.text


def _elements(scan: "_Scan", key: str, member: int) -> Iterator[Piece]:
    scan.step()
    if scan.next() == "]":
        scan.step()
        return
    number = 0
    while True:
        yield scan.piece(key, member, number)
        number += 1
        if scan.next() == "]":
            scan.step()
            return
        scan.take(",")
        scan.next()


def _members(scan: "_Scan") -> Iterator[Piece]:
    scan.step()
    member = 0
    while scan.next() != "}":
        if member:
            scan.take(",")
        if scan.next() != '"':
            raise scan.damaged("no key")
        key, _ = scan.value()
        scan.next()
        scan.take(":")
        member += 1
        if scan.next() == "[":
            yield from _elements(scan, key, member)
        else:
            yield scan.piece(key, member, -1)
    scan.step()


class _Scan:
    """A place in a text of which only the part around it is in memory."""

    def __init__(self, path: Path, stream: TextIO, block: int) -> None:
        self._path, self._stream, self._block = path, stream, block
        self._text, self._at, self._told = "", 0, 0
        self._lines = 1
        self._over = False

    def next(self) -> str:
        """Go on to what is no blank, and return its first character; "" at the end."""
        while True:
            self._at = _BLANKS.match(self._text, self._at).end()  # type: ignore[union-attr]
            if self._at < len(self._text) or not self._more():
                return self._text[self._at : self._at + 1]

    def step(self) -> None:
        """Go on by a character."""
        self._at += 1

    def take(self, wanted: str) -> None:
        """Go on behind a character; raise `DataError` where another one stands."""
        if self._text[self._at : self._at + 1] != wanted:
            raise self.damaged(f"no {wanted!r}")
        self._at += 1

    def piece(self, key: str, member: int, number: int) -> Piece:
        """Return the value that begins here as a piece, and go on behind it."""
        value, text = self.value()
        before = self._text[self._told : self._at - len(text)]
        self._told = self._at
        return Piece(key, member, number, before, text, value)

    def value(self) -> tuple[Any, str]:
        """Return the value that begins here and its text, and go on behind it."""
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                cut = error.pos >= len(self._text) - _NEAR or error.msg.startswith("Unterminated")
                if cut and self._more():
                    continue
                self._at = error.pos
                raise self.damaged(error.msg.lower()) from None
            except RecursionError:
                raise DataError(
                    f"{self._path}: lists nested too deep for any keypoint file"
                ) from None
            except ValueError:
                raise self.damaged("a number of too many digits") from None
            # A number that ends where the text does may go on.
            behind = _DIGITS.match(self._text, end).end()  # type: ignore[union-attr]
            if behind < len(self._text) or not self._more():
                if end - self._at > _LONGEST:
                    raise self._too_long()
                text = self._text[self._at : end]
                self._at = end
                return value, text

    def rest(self) -> str:
        """Return what no piece has told yet."""
        return self._text[self._told :]

    def damaged(self, what: str) -> DataError:
        """Return the error that the text is no JSON here."""
        line = self._lines + self._text.count("\n", 0, self._at)
        if self._over and self._at >= len(self._text.rstrip()) - 1:
            what = "ends too early"
            return DataError(f"{self._path}, line {line}: JSON that {what}; copy the file again")
        return DataError(f"{self._path}, line {line}: is no JSON ({what}); write the file again")

    def _too_long(self) -> DataError:
        line = self._lines + self._text.count("\n", 0, self._at)
        return DataError(
            f"{self._path}, line {line}: an entry of more than {_LONGEST:,} characters; no "
            "keypoint file has such; write the file again"
        )

    def _more(self) -> bool:
        """Read on; return whether there was more. What was told is dropped."""
        if self._over:
            return False
        if len(self._text) - self._told > _LONGEST:
            raise self._too_long()
        kept = self._text[self._told :]
        try:
            # As much again as is kept: a long element is not tried block by block.
            new = self._stream.read(max(self._block, len(kept)))
        except UnicodeDecodeError as error:
            raise DataError(
                f"{self._path}: is no {error.encoding.upper()} text; save it as UTF-8"
            ) from None
        except OSError as error:
            raise DataError(f"{self._path}: cannot be read ({error.strerror or error})") from None
        self._over = not new
        if new:
            self._lines += self._text.count("\n", 0, self._told)
            self._text, self._at, self._told = kept + new, self._at - self._told, 0
        return bool(new)
