"""What looking at one part of a set-up gave."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Literal

from poise.runtime.settings import Settings

Status = Literal["ok", "warning", "failed", "skipped"]


@dataclass(frozen=True)
class Finding:
    """One line of an examination.

    Attributes:
        name: what was looked at; the same in every version, for programs.
        status: ``skipped`` is what this set-up does not use.
        found: what is there, or what is wrong with it.
        cure: what to do about it; empty where there is nothing to do.
    """

    name: str
    status: Status
    found: str
    cure: str = ""

    def to_json(self) -> dict[str, str]:
        """Plain values."""
        return asdict(self)


#: A subject: what it finds comes one after the other, and whoever waits may stop at any.
Check = Callable[[Settings], Iterator[Finding]]
