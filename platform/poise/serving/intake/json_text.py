"""JSON read value by value, none longer than it may be, so that no call takes long.

A whole body given to a parser is one call that nothing interrupts: not an event loop in another
thread, which waits for the interpreter's lock, nor a deadline.
"""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

_decode = json.JSONDecoder().raw_decode
_SPACE = re.compile(r"[ \t\n\r]*")
#: Characters at the end of a piece of text that may look wrong, or like the end of a number, for
#: what was cut off: no word of JSON is longer.
_CUT = len("-Infinity")


class JsonError(Exception):
    """Text that is no JSON; ``at`` is the character where that shows."""

    def __init__(self, reason: str, at: int) -> None:
        super().__init__(reason)
        self.at = at


class TooLongError(Exception):
    """A value of more characters than it may have."""


class JsonText:
    """A text and how far it has been read."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._usual = 1024

    def mentions(self, part: str) -> bool:
        """Whether some characters come anywhere."""
        return part in self._text

    def peek(self) -> str:
        """The next character that is no space; empty at the end."""
        match = _SPACE.match(self._text, self._at)
        assert match is not None  # noqa: S101  (it matches no space, too)
        self._at = match.end()
        return self._text[self._at : self._at + 1]

    def take(self, *wanted: str) -> str:
        """Take one of some characters.

        Raises:
            JsonError: another one comes.
        """
        found = self.peek()
        if found not in wanted or not found:
            raise JsonError(f"Expecting {' or '.join(map(repr, wanted))}", self._at)
        self._at += 1
        return found

    def end(self) -> None:
        """See that nothing follows.

        Raises:
            JsonError: something does.
        """
        if self.peek():
            raise JsonError("Extra data", self._at)

    def value(self, most: int) -> Any:
        """Take the next value.

        Args:
            most: characters it may have.

        Raises:
            JsonError: it is no JSON, or has lists in lists in lists that nobody could read.
            TooLongError: it has more characters.
        """
        self.peek()
        for size in (min(2 * self._usual, most), most):
            piece = self._text[self._at : self._at + size + _CUT + 1]
            whole = self._at + len(piece) == len(self._text)
            try:
                value, length = _decode(piece)
            except RecursionError:
                raise JsonError("Too many lists in lists", self._at) from None
            except json.JSONDecodeError as error:
                cut = error.pos >= len(piece) - _CUT or error.msg.startswith("Unterminated")
                if whole or not cut:
                    raise JsonError(error.msg, self._at + error.pos) from None
            except ValueError as error:  # a number of thousands of digits
                raise JsonError(str(error).partition(";")[0], self._at) from None
            else:
                if whole or length < len(piece) - _CUT:
                    self._usual = length
                    self._at += length
                    return value
        raise TooLongError

    def items(self, most: int) -> Iterator[Any]:
        """Take a list, item by item, or all at once where it cannot be longer than one may be.

        Raises:
            JsonError: as `value`, and where it is no list.
            TooLongError: as `value`, of an item.
        """
        if self.peek() == "[" and len(self._text) - self._at <= most:
            every, length = None, 0
            with suppress(ValueError, RecursionError):  # it is said below what is wrong
                every, length = _decode(self._text[self._at :])
            if every is not None:
                self._at += length
                yield from every
                return
        self.take("[")
        if self.peek() == "]":
            self.take("]")
            return
        yield self.value(most)
        while self.take(",", "]") == ",":
            yield self.value(most)

    def keys(self, most: int) -> Iterator[Any]:
        """Take an object, key by key; the caller takes each key's value.

        Raises:
            JsonError: as `value`, and where it is no object.
            TooLongError: as `value`, of a key.
        """
        self.take("{")
        if self.peek() == "}":
            self.take("}")
            return
        more = ","
        while more == ",":
            if self.peek() != '"':
                raise JsonError("Expecting property name enclosed in double quotes", self._at)
            key = self.value(most)
            self.take(":")
            yield key
            more = self.take(",", "}")
