"""How an estimator's errors are spread over frequencies, simulated and real ones in one plot.

Where there is no truth, what is said above `FAST_HZ` stands in for the error: people hardly move so
fast.

Shape letters: F frames of a sequence, J joints, D dimensions, S segments, K frequencies.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from poise.analysis.error_spread import FAST_HZ
from poise.analysis.result import side_by_side
from poise.catalog.splits import Split
from poise.catalog.tracks import Track
from poise.motion.files import read
from poise.readers.raw_split import open_split
from poise.readers.sequence import PoseSequence
from poise.runtime.errors import DataError
from poise.runtime.plotting import BLUE, GREY, INK, ORANGE, png

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: Frames of a segment; segments overlap by half.
SEGMENT = 64
_QUANTILES = (0.1, 0.5, 0.9)
_RATE = re.compile(r"@\d+(\.\d+)?$")
_LINES = ("-", "--", "-.", ":")


@dataclass(frozen=True)
class Spectrum:
    """Power density over frequencies; 10, 50 and 90 % of the sequences.

    Attributes:
        name: of the track or file.
        simulated: whether its estimators are.
        hertz_K: frequencies.
        error_3K: of the error without its trend, in `unit` squared a Hz; None without truth.
        fast_3K: of what was detected, in percent of the body squared a Hz, above `FAST_HZ`; NaN
            below.
    """

    name: str
    simulated: bool
    hertz_K: Floats
    error_3K: Floats | None
    fast_3K: Floats
    unit: str = ""


def of_track(data: Path | None, track: Track, split: Split) -> Spectrum:
    """Measure the sequences of a track, root-relative where it has a pelvis.

    Raises:
        DataError: the frame rate is not known, or no sequence shows a joint for `SEGMENT` frames.
    """
    info = track.info
    if info.fps is None or track.representation == "smpl":
        raise DataError(f"{track}: this is about joints in space or images, at a known frame rate")
    errors, fast = [], []
    for one in open_split(data, track, split):
        if not isinstance(one, PoseSequence) or one.truth_FC is None:
            continue
        detected_FJD, truth_FJD = (
            _about_pelvis(
                poses_FC.astype(np.float64).reshape(-1, info.joints, info.dims), info.joint_names
            )
            for poses_FC in (one.detected_FC, one.truth_FC)
        )
        seen_FJ = np.ones(detected_FJD.shape[:2], bool) if one.unseen_FJ is None else ~one.unseen_FJ
        error_K = density(info.to_metric * (detected_FJD - truth_FJD), seen_FJ, info.fps)
        if error_K is not None:
            errors.append(error_K)
            fast.append(_fast(detected_FJD, seen_FJ, info.fps))
    noise = info.noise is not None and info.noise.kind == "simulated"
    return _spectrum(str(track), noise, info.fps, errors, fast, info.unit)


def of_file(name: str) -> Spectrum:
    """Measure the people of a keypoint file.

    Args:
        name: its path; with ``@60`` behind it, its frames a second where it does not say.

    Raises:
        DataError: no keypoint file, no rate, or nobody's joint is seen for `SEGMENT` frames.
    """
    path, _, rate = name.rpartition("@") if _RATE.search(name) else (name, "", "")
    motion = read(path)
    fps = motion.fps or float(rate or 0)
    if not fps:
        raise DataError(f"{path}: nothing says how many frames a second; write {path}@30")
    name = Path(path).name
    seen_FPJ = motion.seen_FPJ
    people = range(len(motion.people))
    fast = [
        _fast(np.nan_to_num(motion.poses_FPJD[:, one].astype(np.float64)), seen_FPJ[:, one], fps)
        for one in people
    ]
    return _spectrum(name, False, fps, None, fast)


def density(series_FJD: Floats, seen_FJ: Bools, fps: float) -> Floats | None:
    """Return the mean power density (K,) of joints over the segments that show them, or None.

    Dimensions are added up; each segment's trend is taken off first.
    """
    if len(series_FJD) < SEGMENT:
        return None
    half = SEGMENT // 2
    pieces_SJDT = sliding_window_view(series_FJD, SEGMENT, axis=0)[::half]
    whole_SJ = sliding_window_view(seen_FJ, SEGMENT, axis=0)[::half].all(-1)
    if not whole_SJ.any():
        return None
    pieces_NDT = pieces_SJDT[whole_SJ]
    time_T = np.linspace(-1.0, 1.0, SEGMENT)
    pieces_NDT = pieces_NDT - pieces_NDT.mean(-1, keepdims=True)
    slope_ND1 = (pieces_NDT @ time_T / (time_T @ time_T))[..., None]
    window_T = np.hanning(SEGMENT)
    power_NDK = np.abs(np.fft.rfft((pieces_NDT - slope_ND1 * time_T) * window_T)) ** 2
    found_K: Floats = 2 * power_NDK.sum(1).mean(0) / (fps * (window_T**2).sum())
    return found_K


def plot(spectra: Sequence[Spectrum]) -> bytes:
    """Draw the errors of tracks, and what tracks and files say above `FAST_HZ`, as a PNG."""
    figure, (left, right) = side_by_side(2)
    real = [one.name for one in spectra if not one.simulated]
    for one in spectra:
        colour = BLUE if one.simulated else ORANGE if one.error_3K is not None else GREY
        line = "-" if one.simulated else _LINES[real.index(one.name) % len(_LINES)]
        if one.error_3K is not None:
            _curve(left, one.hertz_K, one.error_3K, colour, line, one.name)
        _curve(right, one.hertz_K, one.fast_3K, colour, line, one.name)
    units = sorted({one.unit for one in spectra if one.error_3K is not None})
    left.set_ylabel(f"error, {' or '.join(units)}² / Hz", color=INK)
    left.set_title("Error against truth, trend taken off", color=INK, fontsize=11)
    right.set_ylabel("detections, (% of body)² / Hz", color=INK)
    right.set_title(f"Detections above {FAST_HZ:g} Hz, truth or not", color=INK, fontsize=11)
    left.set_xlim(left=0)
    right.set_xlim(left=FAST_HZ)
    for panel in (left, right):
        panel.set_yscale("log")
        panel.set_xlabel("Hz", color=INK)
        panel.legend(fontsize=7, frameon=False)
    return png(figure, palette=64)


def _about_pelvis(poses_FJD: Floats, names: Sequence[str]) -> Floats:
    if "pelvis" not in names:
        return poses_FJD
    pelvis = names.index("pelvis")
    return poses_FJD - poses_FJD[:, pelvis : pelvis + 1]


def _fast(poses_FJD: Floats, seen_FJ: Bools, fps: float) -> Floats | None:
    """Power density of poses in percent of the body (the root mean square of its joints)."""
    seen_FJ1 = seen_FJ[..., None]
    count_F11 = seen_FJ1.sum(1, keepdims=True)
    middle_F1D = (poses_FJD * seen_FJ1).sum(1, keepdims=True) / np.maximum(count_F11, 1)
    square_F = (((poses_FJD - middle_F1D) * seen_FJ1) ** 2).sum((1, 2))
    shown_F = count_F11.ravel() > 1
    if not shown_F.any():
        return None
    size = float(np.median(np.sqrt(square_F[shown_F] / count_F11.ravel()[shown_F])))
    return density(100 * poses_FJD / size, seen_FJ, fps) if size else None


def _spectrum(
    name: str,
    simulated: bool,
    fps: float,
    errors: Sequence[Floats] | None,
    fast: Sequence[Floats | None],
    unit: str = "",
) -> Spectrum:
    known = [one for one in fast if one is not None]
    if not known:
        raise DataError(f"{name}: no joint is seen in {SEGMENT} frames in a row")
    hertz_K = np.fft.rfftfreq(SEGMENT, 1 / fps).astype(np.float64)
    fast_3K = np.where(hertz_K > FAST_HZ, np.quantile(known, _QUANTILES, axis=0), np.nan)
    error_3K = None if errors is None else np.quantile(errors, _QUANTILES, axis=0)
    return Spectrum(name, simulated, hertz_K, error_3K, fast_3K, unit)


def _curve(
    panel: Axes, hertz_K: Floats, power_3K: Floats, colour: str, line: str, name: str
) -> None:
    low_K, middle_K, high_K = power_3K[:, 1:]
    panel.plot(hertz_K[1:], middle_K, line, color=colour, linewidth=1.6, label=name)
    panel.fill_between(hertz_K[1:], low_K, high_K, color=colour, alpha=0.12, linewidth=0)
