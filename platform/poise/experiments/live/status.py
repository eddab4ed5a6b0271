"""Where a sweep is: what its own process knows, and writes into the sweep's folder."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Self

from poise.runtime.activity import Activity

#: What the process that runs a sweep is at; the last two are ends.
State = Literal["starting", "running", "publishing", "finished", "interrupted"]
ENDS = ("finished", "interrupted")

#: Seconds without anything new after which that is said.
_LONG_S = 60.0
_AT_ONCE = 3


@dataclass(frozen=True)
class Running:
    """A trial under way.

    Attributes:
        key: of the trial.
        name: of the trial.
        activity: what it is doing.
        done: how much of it is done, from 0 to 1.
        left_s: seconds it takes yet; None where nobody can tell.
        still_s: seconds for which it has been at this.
        quiet_s: seconds since anything was heard of its process.
    """

    key: str
    name: str
    activity: Activity
    done: float
    left_s: float | None
    still_s: float
    quiet_s: float

    @property
    def where(self) -> str:
        """What it is doing in words, and for how long where that is long."""
        said = str(self.activity) or "waiting for a machine"
        if self.quiet_s >= _LONG_S:
            return f"{said} (nothing heard of it for {duration(self.quiet_s)})"
        return f"{said} (for {duration(self.still_s)})" if self.still_s >= _LONG_S else said

    def __str__(self) -> str:
        return f"{self.name}: {self.where}"


@dataclass(frozen=True)
class Status:
    """Where a sweep is.

    Attributes:
        number: counts what its process wrote; it lives while this grows, whatever clocks say.
        at: when it was written, in milliseconds since 1970.
        host: machine of the process that runs the sweep.
        pid: that process.
        state: what it is at.
        plan: name of the plan.
        total: how many trials the plan has.
        done: how many have ended.
        failed: how many of them without a result.
        left_s: seconds until all have ended; None where nobody can tell yet.
        running: the trials under way.
    """

    number: int
    at: int
    host: str
    pid: int
    state: State
    plan: str
    total: int
    done: int
    failed: int
    left_s: float | None
    running: tuple[Running, ...] = ()

    @property
    def process(self) -> str:
        """The process that runs the sweep, in words."""
        return f"process {self.pid} on {self.host}"

    @property
    def far(self) -> str:
        """How far it is, in words."""
        failed = f", {self.failed} of them without a result" if self.failed else ""
        said = f"{self.done} of {self.total} trials done{failed}"
        if self.state == "starting":
            return f"{said}, starting"
        if self.state == "publishing":
            return f"{said}, writing tables and MLflow's runs"
        if self.state in ENDS:
            return f"{said}, {self.state}"
        left = "time left not known yet" if self.left_s is None else f"{duration(self.left_s)} left"
        return f"{said}, {left}"

    def __str__(self) -> str:
        """Return it as one line."""
        shown = [str(one) for one in self.running[:_AT_ONCE]]
        if len(self.running) > _AT_ONCE:
            shown.append(f"and {len(self.running) - _AT_ONCE} more")
        return "; ".join([f"{self.plan}: {self.far}", *shown])

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a dictionary of plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Self:
        """Make a status of what `to_json` returned."""
        running = [
            Running(**{**one, "activity": Activity(**one["activity"])}) for one in given["running"]
        ]
        return replace(cls(**{**given, "running": ()}), running=tuple(running))


def duration(seconds: float) -> str:
    """Return a time in words, to two units: ``2 d 4 h``, ``4 h 10 min``, ``35 s``."""
    left = round(seconds)
    for size, name, smaller, below in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 60, ""),
    ):
        if left >= size:
            rest = left % size // smaller
            return f"{left // size} {name}" + (f" {rest} {below}" if below and rest else "")
    return f"{left} s"
