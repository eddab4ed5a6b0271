"""What looking at one part of a set-up gave."""

import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Literal

from poise.runtime.settings import Settings

#: Programs that want each CPU, beyond which it may be this machine that is late.
_BUSY = 4.0

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


def late(
    name: str,
    within_s: float,
    cure: str = "see whether its address is right, and whether a firewall or a mount swallows the "
    "question",
) -> Finding:
    """Say that nothing was heard in time, and whose fault that may be."""
    said, waiting = f"no answer within {within_s:g} s", os.getloadavg()[0] / (os.cpu_count() or 1)
    if waiting > _BUSY:
        said += f", on a machine with {waiting:.0f} programs for each CPU"
        cure = f"try again when it is less busy; if that does not help, {cure}"
    return Finding(name, "failed", said, cure)


#: A subject: what it finds comes one after the other, and whoever waits may stop at any.
Check = Callable[[Settings], Iterator[Finding]]
