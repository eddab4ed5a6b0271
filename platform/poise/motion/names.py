"""Names of joints and people as files have them."""

from collections.abc import Sequence
from typing import Final

from poise.runtime.errors import DataError

#: Of all cameras together: 5,000 hours at 60 frames a second.
MOST_FRAME: Final = 2**40
_MOST_NAMES: Final = 10_000
_LONGEST: Final = 256


def told_apart(names: Sequence[str]) -> tuple[str, ...]:
    """Return names, those that stand again with a number behind."""
    found: dict[str, None] = {}
    again: dict[str, int] = {}
    for name in names:
        one = name
        while one in found:
            again[name] = again.get(name, 1) + 1
            one = f"{name}_{again[name]}"
        found[one] = None
    return tuple(found)


def checked_names(path: object, names: Sequence[str], what: str = "joint") -> tuple[str, ...]:
    """Return names as they are; raise `DataError` where they are too many or too long."""
    if len(names) > _MOST_NAMES or max(map(len, names), default=0) > _LONGEST:
        raise DataError(f"{path}: {len(names):,} {what} names, or one of more than {_LONGEST}")
    return told_apart(names)


def plain_cell(name: str) -> str:
    """Return a name that no table takes for two cells or two lines."""
    return " ".join(name.replace(",", " ").replace(";", " ").replace('"', "").split()) or "_"
