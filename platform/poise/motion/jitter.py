"""How much a motion jitters, without any truth: accelerations, and power at high frequencies."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from poise.motion.motion import Motion

#: People's own movements lie below.
SLOW_HZ: Final = 6.0
_SEGMENT_S: Final = 4.0
_FEWEST: Final = 16
#: Steps that differ from the usual one by more are over frames that are not there.
_EVEN: Final = 0.25


def mean_acceleration(motion: Motion) -> float | None:
    """Return the mean length of acceleration over joints that three frames in a row show.

    In the motion's unit per second squared; per frame squared where the rate is unknown. None where
    no joint is seen for so long.
    """
    poses, even = motion.poses_FPJD, _even(motion)
    if len(motion) < 3:
        return None
    bend = poses[2:] - 2.0 * poses[1:-1] + poses[:-2]
    bend = bend[even[1:] & even[:-1]]
    lengths = np.linalg.norm(bend, axis=-1)
    known = lengths[~np.isnan(lengths)]
    return float(known.mean() * (motion.fps or 1.0) ** 2) if len(known) else None


def power_above(motion: Motion, hertz: float = SLOW_HZ) -> float | None:
    """Return the share of a motion's spectral power above a frequency, 0 to 1.

    Of positions without their mean and trend, over segments of four seconds in which a joint is
    always seen. None where there is no rate, none so high, or no such segment.
    """
    fps = motion.fps
    if fps is None or hertz >= fps / 2:
        return None
    frames = len(motion)
    length = min(frames, max(_FEWEST, round(_SEGMENT_S * fps)))
    if length < _FEWEST:
        return None
    even, seen = _even(motion), motion.seen_FPJ
    window = np.hanning(length)[:, None]
    time = np.linspace(-1.0, 1.0, length)
    fast = np.fft.rfftfreq(length, 1.0 / fps) > hertz
    high = whole = 0.0
    for start in range(0, frames - length + 1, length):
        part = slice(start, start + length)
        if not even[start : start + length - 1].all():
            continue
        there = seen[part].all(0)
        if not there.any():
            continue
        series = motion.poses_FPJD[part][:, there].reshape(length, -1).astype(np.float64)
        series = series - series.mean(0)
        series -= time[:, None] * (time @ series / (time @ time))
        power = np.abs(np.fft.rfft(series * window, axis=0)) ** 2
        whole += float(power[1:].sum())
        high += float(power[fast].sum())
    return high / whole if whole > 0.0 else None


def gaps(motion: Motion) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return for each person and joint, (P, J), frames without it between others, and the longest.

    Frames before it is seen first and after it is seen last are no gap.
    """
    seen = motion.seen_FPJ
    frames = len(seen)
    places = np.arange(frames)[:, None, None]
    last_seen = np.maximum.accumulate(np.where(seen, places, -1), 0)
    next_seen = np.minimum.accumulate(np.where(seen, places, frames)[::-1], 0)[::-1]
    inside = ~seen & (last_seen >= 0) & (next_seen < frames)
    longest = np.where(inside, next_seen - last_seen - 1, 0).max(0)
    return inside.sum(0), longest


def _even(motion: Motion) -> NDArray[np.bool_]:
    """Say for each step between frames whether it is as long as usual."""
    steps = np.diff(motion.times_F)
    if not len(steps):
        return np.zeros(0, bool)
    usual = np.median(steps)
    return np.asarray(np.abs(steps - usual) <= _EVEN * usual)
