"""What an estimator's errors are like: how large, how long they last, how fast they change.

Shape letters: F frames of a sequence, J joints, D dimensions.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from poise.analysis.result import AnalysisResult
from poise.catalog.splits import Split
from poise.catalog.tracks import Track
from poise.readers.raw_split import open_split
from poise.readers.sequence import PoseSequence
from poise.runtime.errors import DataError
from poise.runtime.text.table import text_table

Floats = NDArray[np.float64]

#: Above it, in Hz, people hardly move.
FAST_HZ = 6.0
#: Frames of the shortest sequence that says how long errors last.
_FEWEST = 32
#: Of the sequences: nearly the least, the middle, nearly the most.
_QUANTILES = (0.1, 0.5, 0.9)

Spread = tuple[float, float, float]


@dataclass(frozen=True)
class ErrorSpread:
    """Errors of a joint without its mean error of the sequence; 10, 50 and 90 % of the sequences.

    Attributes:
        joint: its name; ``all`` are the values of all joints.
        deviation: standard deviation of a coordinate, in `unit`.
        lag: correlation of a frame's error with the next one's.
        fast: share of the errors' power above `FAST_HZ`.
    """

    track: str
    joint: str
    sequences: int
    deviation: Spread
    lag: Spread
    fast: Spread
    unit: str


def analyse(data: Path | None, tracks: Sequence[Track], split: Split = "train") -> AnalysisResult:
    """Measure the errors of tracks as they are read, gaps filled; raise `DataError` without any."""
    rows = [row for track in tracks for row in spread(data, track, split)]
    header = ["track", "joint", f"std {rows[0].unit}", "lag 1", f"share above {FAST_HZ:g} Hz"]
    body = [
        [row.track, row.joint, _cell(row.deviation, 1), _cell(row.lag, 2), _cell(row.fast, 2)]
        for row in rows
    ]
    counts = {row.track: row.sequences for row in rows}
    said = ", ".join(f"{count} of {track}" for track, count in counts.items())
    text = f"10 / 50 / 90 % of the {split} sequences ({said}), each joint's mean error taken off"
    return AnalysisResult(rows, f"{text_table(header, body, (0, 1))}\n{text}")


def spread(data: Path | None, track: Track, split: Split) -> list[ErrorSpread]:
    """Measure the errors of a track, by joint, and of all joints at the end.

    Raises:
        DataError: poses are no places, nobody knows the frame rate, or no sequence is long enough.
    """
    info = track.info
    if track.representation == "smpl" or info.fps is None:
        raise DataError(f"{track}: this is about joints in space or images, at a known frame rate")
    found = np.array([_measured(error_FJD, info.fps) for error_FJD in _errors(data, track, split)])
    if not len(found):
        raise DataError(f"{track}: no {split} sequence with ground truth has {_FEWEST} frames")
    deviation, lag, fast = found.transpose(1, 0, 2)
    names = [*info.joint_names, "all"]
    return [
        ErrorSpread(
            track=str(track),
            joint=name,
            sequences=len(found),
            deviation=_quantiles(deviation, place, info.to_metric),
            lag=_quantiles(lag, place),
            fast=_quantiles(fast, place),
            unit=info.unit,
        )
        for place, name in enumerate(names)
    ]


def _errors(data: Path | None, track: Track, split: Split) -> Iterator[Floats]:
    """Yield the errors (F, J, D) of each sequence, without their mean over time."""
    for one in open_split(data, track, split):
        if not isinstance(one, PoseSequence) or one.truth_FC is None:
            continue
        if len(one.truth_FC) >= _FEWEST:
            error_FC = one.detected_FC.astype(np.float64) - one.truth_FC
            error_FJD = error_FC.reshape(len(error_FC), track.info.joints, -1)
            yield error_FJD - error_FJD.mean(axis=0)


def _measured(error_FJD: Floats, fps: float) -> Floats:
    """Deviation, lag and fast share of each joint, (3, J); NaN where there is no error."""
    power_FJ = (error_FJD**2).sum(axis=2)
    spectrum_KJ = (np.abs(np.fft.rfft(error_FJD, axis=0)) ** 2).sum(axis=2)
    is_fast_K = np.fft.rfftfreq(len(error_FJD), 1 / fps) > FAST_HZ
    whole_J = power_FJ.sum(axis=0)
    whole_J = np.where(whole_J > 0, whole_J, np.nan)
    lag_J = (error_FJD[1:] * error_FJD[:-1]).sum(axis=(0, 2)) / whole_J
    fast_J = spectrum_KJ[is_fast_K].sum(axis=0) / np.maximum(spectrum_KJ.sum(axis=0), 1e-300)
    return np.stack([np.sqrt(power_FJ.mean(axis=0) / error_FJD.shape[2]), lag_J, fast_J])


def _quantiles(values_SJ: Floats, place: int, factor: float = 1.0) -> Spread:
    """Of one joint, or of all where the place is behind the last."""
    chosen = values_SJ.ravel() if place == values_SJ.shape[1] else values_SJ[:, place]
    chosen = chosen[np.isfinite(chosen)]
    if not len(chosen):
        return (float("nan"),) * 3
    low, middle, high = (factor * np.quantile(chosen, _QUANTILES)).tolist()
    return low, middle, high


def _cell(values: Spread, digits: int) -> str:
    return " / ".join("-" if value != value else f"{value:.{digits}f}" for value in values)
