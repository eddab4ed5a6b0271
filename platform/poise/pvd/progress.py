"""Progress of long work, as lines of text."""

import time
from collections.abc import Callable

#: Callback with a line of text.
Report = Callable[[str], None]

#: Seconds between two lines of one stage.
_EVERY_S = 5.0


def counting(what: str, total: int, report: Report) -> Callable[[int], None]:
    """Return a callback with the number of rows done so far; it reports every few seconds."""
    began = last = time.monotonic()

    def tell(done: int) -> None:
        nonlocal last
        now = time.monotonic()
        if done < total and now - last >= _EVERY_S:
            last = now
            report(f"  {what}: {done:,} of {total:,}, {done / (now - began):,.0f} a second")

    return tell


def pace(rows: int, clock: float) -> str:
    """Return how long rows took since a `time.monotonic`, like `` in 2.0 s (50 a second)``."""
    seconds = time.monotonic() - clock
    return f" in {seconds:.1f} s ({rows / max(seconds, 1e-3):,.0f} a second)"
