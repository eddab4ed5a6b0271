"""How near to the matrix-multiply peak a computation runs, both measured turn by turn."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch

#: Rows and columns of the product that counts as the peak.
SIDE = {"cpu": 1024, "cuda": 8192}


@dataclass(frozen=True)
class Speed:
    """Median seconds of a call, the median peak in multiply-accumulates a second, and the share.

    ``share`` is the median over turns of MACs / (seconds x peak beside it).
    """

    seconds: float
    peak: float
    share: float


class Machine:
    """A device and a clock: wall time, or the CPU time of this process on one thread."""

    def __init__(
        self, device: str, cpu_time: bool = False, dtype: torch.dtype = torch.float32
    ) -> None:
        self.device = device
        self.read = time.process_time if cpu_time else time.perf_counter
        side = SIDE[device]
        self._square = torch.randn(side, side, device=device, dtype=dtype)
        self._macs = side**3

    def seconds(self, call: Callable[[], object]) -> float:
        """Time one call, to its very end on the device."""
        self._wait()
        start = self.read()
        call()
        self._wait()
        return self.read() - start

    def peak(self) -> float:
        """MACs a second of a large square product, the best of five."""
        return self._macs / min(self.seconds(lambda: self._square @ self._square) for _ in range(5))

    def speed(self, call: Callable[[], object], macs: float, turns: int) -> Speed:
        """Time a call of so many MACs, the peak before and after each turn."""
        call()
        seconds, peaks = [], [self.peak()]
        for _ in range(turns):
            seconds.append(self.seconds(call))
            peaks.append(self.peak())
        around = [(a + b) / 2 for a, b in pairwise(peaks)]
        shares = [macs / s / p for s, p in zip(seconds, around, strict=True)]
        return Speed(
            statistics.median(seconds), statistics.median(peaks), statistics.median(shares)
        )

    def _wait(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()
