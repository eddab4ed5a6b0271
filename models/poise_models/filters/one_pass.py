"""Butterworth on a stream: one pass forward, which delays, read off as late as it delays.

A low-pass that looks only back delays slow motion by its group delay at frequency 0. Its output is
read off that many frames later, so that nothing lags behind: the frame has waited instead.
"""

from collections import deque

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.signal import butter, sosfilt, sosfilt_zi

from poise_models.filters.gaps import TOLERANCE, Array, Held

#: A gap of so many periods of the cutoff parts a sequence in two, which know nothing of each other.
LONG_GAP = 10
Floats = NDArray[np.float32]


def delay_of(cutoff: float, order: int) -> float:
    """Frames by which one pass of a Butterworth delays slow motion."""
    total = 0.0
    for section in butter(order, 2 * cutoff, output="sos"):
        for sign, taps in ((1, section[:3]), (-1, section[3:])):
            total += sign * float(np.arange(3) @ taps / taps.sum())
    return total


def sections_in_time(cutoff: float, order: int, lag: int) -> tuple[Array | None, int]:
    """The low-pass that delays by a whole number of frames, as many as the cutoff and lag allow.

    Args:
        cutoff: in cycles a frame; it is raised until the delay is whole and within the lag.
        order: of the one pass.
        lag: frames that there is time for.

    Returns:
        Second-order sections, and their delay; None and 0 where there is time for no filter.
    """
    delay = min(lag, int(delay_of(cutoff, order) + 1e-9))
    if delay == 0:
        return None, 0
    higher = brentq(lambda f: delay_of(f, order) - delay, 0.9 * cutoff, 0.4999)
    return butter(order, 2 * higher, output="sos"), delay


class OnePass:
    """A Butterworth at work on one stream. Frames that were dropped are put on straight lines.

    Times are taken to whole frames. What is not seen stays what it was seen as last.
    """

    def __init__(self, cutoff: float, order: int, lag: int) -> None:
        self._sections, self._delay = sections_in_time(cutoff, order, lag)
        self._most = int(LONG_GAP / cutoff)
        self._held = Held()
        self._at = 0
        self._due: deque[int] = deque()

    def push(self, frame_C: Floats, step: float) -> list[Floats]:
        """Take a frame; return those whose delay is over. NaN until a joint was seen."""
        frame_C = self._held.after(frame_C)
        if self._sections is None:
            return [frame_C]
        if self._at == 0:
            self._last_C = frame_C.astype(np.float64)
            self._state = sosfilt_zi(self._sections)[..., None] * self._last_C
            between = 1
        else:
            # Half frames go up, also where a sum of times has left them just below a half.
            between = min(max(int(step + 0.5 + TOLERANCE), 1), self._most)
            new_C = np.isnan(self._last_C)
            if new_C.any():  # what is seen for the first time has always been there
                self._last_C = np.where(new_C, frame_C, self._last_C)
                steady = sosfilt_zi(self._sections)[..., None] * self._last_C
                self._state = np.where(new_C, steady, self._state)
        share_G1 = np.arange(1, between + 1)[:, None] / between
        line_GC = self._last_C + share_G1 * (frame_C - self._last_C)
        self._last_C = frame_C.astype(np.float64)
        self._due.append(self._at + between - 1 + self._delay)
        return self._read(line_GC)

    def finish(self) -> list[Floats]:
        """The frames that are left: the last one goes on."""
        return self._read(np.repeat(self._last_C[None], self._delay, axis=0)) if self._at else []

    def _read(self, line_GC: Array) -> list[Floats]:
        assert self._sections is not None  # noqa: S101  (else nothing waits)
        smooth_GC, self._state = sosfilt(self._sections, line_GC, axis=0, zi=self._state)
        ready = []
        for smooth_C in smooth_GC:
            if self._due and self._due[0] == self._at:
                self._due.popleft()
                ready.append(smooth_C.astype(np.float32))
            self._at += 1
        return ready
