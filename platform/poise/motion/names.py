"""Names of joints and people as files have them."""

import re
from collections.abc import Sequence
from typing import Final

from poise.catalog.joint_sets import of_count, of_names
from poise.runtime.errors import DataError

#: Of all cameras together: 5,000 hours at 60 frames a second.
MOST_FRAME: Final = 2**40
_MOST_NAMES: Final = 10_000
_LONGEST: Final = 256
#: Joints that have a number for a name: ``0``, ``p1``, ``joint_12``.
_NUMBERED: Final = re.compile(r"[A-Za-z]*_?(?P<number>\d+)")


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


def numbered(names: Sequence[str]) -> bool:
    """Say whether joints are only counted, from 0 or 1, and not named."""
    found = [_NUMBERED.fullmatch(name) for name in names]
    if not all(found):
        return False
    numbers = [int(one["number"][-9:]) for one in found if one]
    return numbers == [*range(numbers[0], numbers[0] + len(numbers))] and numbers[0] in (0, 1)


def known_joints(names: Sequence[str]) -> tuple[tuple[str, ...], str | None]:
    """Return the joints' names, and the joint set they are.

    Joints that are only counted get the names of the joint set that has so many, where one has.
    """
    if not numbered(names):
        known = of_names(names)
        return tuple(names), known.name if known else None
    fitting = of_count(len(names))
    return (fitting[0].joints, fitting[0].name) if len(fitting) == 1 else (tuple(names), None)


def which_skeleton(names: Sequence[str]) -> str:
    """Say which joint sets joints that are only counted may be; nothing where that is clear."""
    fitting = of_count(len(names)) if numbered(names) else []
    if not fitting:
        return ""
    listed = ", ".join(one.name for one in fitting)
    return f"{len(names)} joints without names may be those of {listed}: say which with --skeleton"
