"""Numbers in a JSON text replaced where they stand: all else keeps its bytes."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from poise.motion.text.grid import number_text, number_texts

_BLANK: Final = re.compile(r"[\s,]*")
_NUMBER: Final = re.compile(r"-?\d[\d.eE+-]*|-?Infinity|NaN|null")
_UNEVEN: Final = re.compile(r"[\[\]\t\r\n\"]")
_DECIMALS: Final = re.compile(r"\.(\d+)")
_FEWEST_DECIMALS: Final = 3
_DECODER: Final = json.JSONDecoder()


def member_of(text: str, key: str, begin: int = 0, end: int | None = None) -> tuple[int, int]:
    """Return where a key's value stands in an object; (-1, -1) where there is no such key.

    Args:
        text: valid JSON.
        key: of the object that begins at ``begin``, if it is one; nested ones of that name do not
            count, and of several the last one does, as in what JSON is read into.
        begin: the place of the object's brace, or of blanks before it.
        end: behind the object.
    """
    at = _BLANK.match(text, begin).end()  # type: ignore[union-attr]
    if text[at : at + 1] != "{":
        return -1, -1
    at += 1
    limit = len(text) if end is None else end
    found = -1, -1
    while at < limit:
        at = _BLANK.match(text, at).end()  # type: ignore[union-attr]
        if text[at : at + 1] != '"':
            break
        name, at = _DECODER.raw_decode(text, at)
        at = text.index(":", at) + 1
        at = _BLANK.match(text, at).end()  # type: ignore[union-attr]
        _, stop = _DECODER.raw_decode(text, at)
        if name == key:
            found = at, stop
        at = stop
    return found


def list_of(text: str, key: str, begin: int = 0, end: int | None = None) -> int:
    """Return where the list of a key begins in an object, as `member_of` does; -1 without one."""
    at, _ = member_of(text, key, begin, end)
    return at if at >= 0 and text[at] == "[" else -1


def elements(text: str, at: int) -> Iterator[tuple[Any, int, int]]:
    """Yield the elements of the list that begins at a place, with where each stands."""
    at += 1
    while True:
        at = _BLANK.match(text, at).end()  # type: ignore[union-attr]
        if text[at : at + 1] in ("]", ""):
            return
        value, end = _DECODER.raw_decode(text, at)
        yield value, at, end
        at = end


def rewritten(
    text: str, at: int, change: Callable[[int, Any, int, int], str | None], more: Sequence[str]
) -> str:
    """Return a text with the elements of a list changed, left out, or put behind the others.

    Args:
        text: valid JSON; at least one element is in the list.
        at: where the list begins.
        change: gets the number of an element, its value, and where it stands; returns its text, or
            None to leave it out.
        more: texts of new elements.
    """
    out: list[str] = []
    end = at + 1
    first = ""
    for number, (value, begin, stop) in enumerate(elements(text, at)):
        gap = text[end:begin]
        first, end = first or (gap if not number else ""), stop
        new = change(number, value, begin, stop)
        if new is not None:
            out.append(gap + new if out else first + new)
    for new in more:
        out.append(f", {new}" if out else first + new)
    return text[: at + 1] + "".join(out) + text[end:]


def decimals_of(text: str) -> int:
    """Return how many decimals the numbers of a text have."""
    return max(_FEWEST_DECIMALS, *(len(digits) for digits in _DECIMALS.findall(text)), 0)


def renumbered(
    text: str, changed: NDArray[np.bool_], values: Sequence[float], decimals: int
) -> str:
    """Return the text of a list of numbers, or of such lists, with some of them replaced."""
    cells = _flat(text)
    if len(cells) == len(values):
        new = number_texts(np.array([values]), decimals)[0]
        picked = [
            (one or "null") if other else old
            for one, other, old in zip(new, changed.tolist(), cells, strict=True)
        ]
        return f"[{_between(text).join(picked)}]"
    places = iter(zip(changed.tolist(), values, strict=True))

    def spelt(old: re.Match[str]) -> str:
        new, value = next(places, (False, 0.0))
        return json_number(value, decimals) if new else old[0]

    return _NUMBER.sub(spelt, text)


def _between(text: str) -> str:
    return ", " if ", " in text else ","


def _flat(text: str) -> list[str]:
    """Return the numbers of a list that is evenly written in a line; nothing of any other."""
    between, inside = _between(text), text[1:-1]
    cells = inside.split(between)
    blanks = len(cells) - 1 if between == ", " else 0
    even = inside.isascii() and inside.count(" ") == blanks and not _UNEVEN.search(inside)
    return cells if even and inside.count(",") == len(cells) - 1 else []


def json_number(value: float, decimals: int) -> str:
    """Write a number; JSON has no NaN, which is null."""
    return number_text(value, decimals) or "null"
