"""Progress of long work, as lines of text."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from poise.runtime.ticking import every_few_seconds

#: Callback with a line of text.
Report = Callable[[str], None]

#: Seconds between two lines of one stage.
_EVERY_S = 5.0
#: Seconds after which work that counts nothing is heard of.
_SILENCE_S = 20.0


def counting(what: str, total: int, report: Report) -> Callable[[int], None]:
    """Return a callback with the number of rows done so far; it reports every few seconds."""
    began = last = time.monotonic()

    def tell(done: int) -> None:
        nonlocal last
        now = time.monotonic()
        if done < total and now - last >= _EVERY_S:
            last = now
            rate = done / (now - began)
            left = f", {(total - done) / rate:,.0f} s left" if rate else ""
            report(f"  {what}: {done:,} of {total:,}, {rate:,.0f} a second{left}")

    return tell


@contextmanager
def heard_of(report: Report, silence_s: float = _SILENCE_S) -> Iterator[Report]:
    """Let nobody wait in silence for work that has nothing to count: say that it goes on.

    Args:
        report: callback with a line for every stage.
        silence_s: seconds without a line after which there is one.

    Yields:
        The callback to use in its place.
    """
    began = said = time.monotonic()

    def tell(line: str) -> None:
        nonlocal began, said
        began = said = time.monotonic()
        report(line)

    def go_on(_: int) -> None:
        nonlocal said
        now = time.monotonic()
        if now - said >= silence_s:
            said = now
            report(f"  going on, for {now - began:.0f} s now")

    with every_few_seconds(go_on, silence_s / 4, "poise-progress"):
        yield tell


def pace(rows: int, clock: float) -> str:
    """Return how long rows took since a `time.monotonic`, like `` in 2.0 s (50 a second)``."""
    seconds = time.monotonic() - clock
    return f" in {seconds:.1f} s ({rows / max(seconds, 1e-3):,.0f} a second)"
