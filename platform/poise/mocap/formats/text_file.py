"""Lines and numbers of text files that may be damaged."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from poise.runtime.errors import DataError
from poise.runtime.text import read_text


def read_lines(path: Path) -> list[str]:
    """Return the lines of a file; raise `DataError` where it cannot be read."""
    # Headers hold folder names in whatever encoding; Latin-1 accepts every byte.
    text = read_text(path, otherwise="latin-1").removesuffix("\n")
    return text.split("\n") if text else []


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


def numbers(words: list[str]) -> NDArray[np.float64] | None:
    """Return words as numbers, or None where one of them is none or not finite."""
    try:
        values = np.array(words, dtype=np.float64)
    except ValueError:
        return None
    return values if np.isfinite(values).all() else None
