"""Lines and numbers of text files that may be damaged."""

import re
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from poise.readers.untrusted.budget import Budget, BudgetError
from poise.runtime.errors import DataError
from poise.runtime.text.files import read_text

#: How programs write a number that is none.
UNKNOWN: Final = frozenset(
    f"{sign}{text}"
    for sign in ("", "-", "+")
    for text in ("nan", "nan(ind)", "nan(snan)", "1.#qnan", "1.#ind", "1.#qnan0", "1.#ind00")
)
#: A word of digits, points, commas and signs, for example in brackets.
_NUMBERS: Final = re.compile(r"(?<![^\s(])[-+]?[.,]?\d[-+\d.,eE]*(?![^\s)])")
_DECIMAL_COMMA: Final = re.compile(r"[-+]?\d*,\d+([eE][-+]?\d+)?")
#: Where a sign begins a number right behind another one; that of an exponent stands behind its e.
_GLUED: Final = re.compile(r"(?<=[\d.,])(?=[-+])")

#: Of a skeleton; people with fingers and faces have 200.
MOST_JOINTS: Final = 1000
LONGEST_NAME: Final = 256
#: Rotations and positions of a joint in a frame, its own and in the world.
_NUMBERS_A_JOINT: Final = 24


def read_lines(path: Path) -> list[str]:
    """Return the lines of a file, numbers with decimal points and blanks between them.

    Raises:
        DataError: it cannot be read.
    """
    # Headers hold folder names in whatever encoding; Latin-1 accepts every byte.
    text = read_text(path, otherwise="latin-1").removesuffix("\n")
    lines = text.split("\n") if text else []
    if "," in text or _GLUED.search(text):
        lines = [_plain(line) if "," in line or _GLUED.search(line) else line for line in lines]
    return lines


def _plain(line: str) -> str:
    """Write numbers as Python does: ``0,5`` is 0.5; ``0.5,1.5`` and ``0.5-1.5`` are two numbers."""
    points = any("." in word for word in _NUMBERS.findall(line))

    def spelt(word: re.Match[str]) -> str:
        parts = _GLUED.sub(" ", word[0]).split()
        if not points and all(_DECIMAL_COMMA.fullmatch(part) or "," not in part for part in parts):
            return " ".join(parts).replace(",", ".")
        return " ".join(parts).replace(",", " ").strip()

    return _NUMBERS.sub(spelt, line)


def check_cost(path: Path, frames: int, joints: int) -> None:
    """Raise `DataError` where a few bytes of a file would move a great many joints."""
    try:
        Budget.of(path).numbers((frames, joints, _NUMBERS_A_JOINT))
    except BudgetError as error:
        raise DataError(
            f"{path}: refused: {frames:,} frames of {joints:,} joints in {path.stat().st_size:,} "
            f"bytes: {error}"
        ) from None


def number(path: Path, line: int | None, word: str) -> float:
    """Return a finite number; raise `DataError` with file and line where it is none."""
    try:
        value = float(word)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        place = f"{path}, line {line}" if line else f"{path}"
        raise DataError(f"{place}: {word!r} is not a finite number")
    return value


def numbers(words: list[str], unknown: bool = False) -> NDArray[np.float64] | None:
    """Return words as numbers, or None where one of them is none or not finite.

    Args:
        words: what to read.
        unknown: let NaN stay, however it is spelt.
    """
    if unknown and any(word.lower() in UNKNOWN for word in set(words)):
        words = ["nan" if word.lower() in UNKNOWN else word for word in words]
    try:
        values = np.array(words, dtype=np.float64)
    except ValueError:
        return None
    known = np.isfinite(values) | np.isnan(values) if unknown else np.isfinite(values)
    return values if known.all() else None
