"""Time two ways of doing the same thing, turn by turn, and report the ratio."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Ratio:
    """Median seconds of both, and the median of the ratios other / ours, pair by pair."""

    ours: float
    other: float
    ratio: float


def compare(
    ours: Callable[[], object],
    other: Callable[[], object],
    turns: int = 9,
    clock: Callable[[], float] = time.perf_counter,
) -> Ratio:
    """Run both in turn, so that a machine whose speed drifts slows both alike."""
    ours(), other()
    pairs = [(_seconds(ours, clock), _seconds(other, clock)) for _ in range(turns)]
    return Ratio(
        statistics.median(a for a, _ in pairs),
        statistics.median(b for _, b in pairs),
        statistics.median(b / a for a, b in pairs),
    )


def _seconds(call: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    call()
    return clock() - start
