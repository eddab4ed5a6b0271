"""Whole sequences refined as a stream would: each frame from what is there `lag` frames later."""

from collections.abc import Sequence

import torch
from torch import Tensor

from poise_models.base.batch import Columns
from poise_models.base.clip import Clip, Refined
from poise_models.base.refiner import Refiner, SequenceRefiner
from poise_models.base.window_refiner import WindowRefiner
from poise_models.base.windows import unfold
from poise_models.errors import ConfigError
from poise_models.filters.linear import Linear
from poise_models.live.stream import FilterStream
from poise_models.live.windows import (
    Windowed,
    check_lag,
    ended,
    mean_in_time,
    predicted,
    values_of,
    weights_of,
    without_gaps,
)


def refine_live(refiner: Refiner, clips: Sequence[Clip], lag: int) -> list[Refined]:
    """Refine sequences as `poise_models.live.stream` does frame by frame, all windows at once.

    Windows are a frame apart, whatever the stride of the refiner. Networks know frames in order
    only; neighbours of a clip are those of its whole windows.

    Args:
        refiner: a network, or a filter that can run live.
        clips: sequences; their windows are those of their frames.
        lag: how many later frames each frame waits for. 0 answers at once; T - 1 gives what
            `Refiner.refine` does.

    Raises:
        ConfigError: the refiner cannot run live, or not at this lag; or a clip has windows whose
            frames disagree.
        ShapeError: a clip does not fit the refiner.
    """
    return refine_at_lags(refiner, clips, [lag])[0]


@torch.inference_mode()
def refine_at_lags(
    refiner: Refiner, clips: Sequence[Clip], lags: Sequence[int]
) -> list[list[Refined]]:
    """As `refine_live`, at each of several lags; the network sees every window once."""
    for clip in clips:
        refiner.check(clip)
        if clip.windows_NTC is not None:
            raise ConfigError("live frames come once: windows whose frames disagree are not live")
    if isinstance(refiner, WindowRefiner | Linear):
        return _by_windows(refiner, clips, lags)
    assert isinstance(refiner, SequenceRefiner)  # noqa: S101  (there are no others)
    streams = [FilterStream(refiner, lag) for lag in lags]
    return [[stream.whole(clip) for clip in clips] for stream in streams]


def _by_windows(
    refiner: Windowed, clips: Sequence[Clip], lags: Sequence[int]
) -> list[list[Refined]]:
    for lag in lags:
        check_lag(refiner, lag)
    if not clips:
        return [[] for _ in lags]
    refiner.eval()
    weights_T = weights_of(refiner).to(clips[0].detected_FC.device)
    running = _predicted(refiner, [_running(refiner, clip) for clip in clips])
    # Of clips that end before a frame is due.
    short = [len(clip.detected_FC) <= max(lags) for clip in clips]
    ended_early = [
        _whole(refiner, clip) for clip, is_short in zip(clips, short, strict=True) if is_short
    ]
    known_early = iter(_predicted(refiner, ended_early))
    early = [next(known_early) if is_short else {} for is_short in short]

    def at(lag: int, number: int) -> Refined:
        frames = len(clips[number].detected_FC)
        if frames <= lag:
            values = {name: windows[0, :frames] for name, windows in early[number].items()}
        else:
            values = {
                name: mean_in_time(windows, lag, weights_T)
                for name, windows in running[number].items()
            }
        return Refined(*values_of(values))

    return [[at(lag, number) for number in range(len(clips))] for lag in lags]


def _predicted(refiner: Windowed, inputs: Sequence[Columns]) -> list[dict[str, Tensor]]:
    """What the refiner knows of each clip's windows, by name."""
    if not inputs:
        return []
    detected, near, far = (torch.cat(column) for column in zip(*inputs, strict=True))
    counts = [len(one[0]) for one in inputs]
    found = predicted(refiner, detected, near, far)
    parts = {name: column.split(counts) for name, column in found.items()}
    return [{name: part[number] for name, part in parts.items()} for number in range(len(inputs))]


def _running(refiner: Windowed, clip: Clip) -> Columns:
    """The windows that end with each frame, the first ones padded, and their neighbours."""
    length, frames_FC = refiner.window, _seen(refiner, clip)
    before_TC = frames_FC[:1].expand(length - 1, -1)
    windows_FTC = unfold(torch.cat([before_TC, frames_FC]), length)
    itself_FKTC, alone_FK = _alone(refiner, windows_FTC)
    if clip.neighbours_NKTC is None or clip.distances_NK is None or len(frames_FC) < length:
        return windows_FTC, itself_FKTC, alone_FK
    near_NKTC, far_NK = _found(refiner, clip)
    padded = slice(0, length - 1)
    near_FKTC = torch.cat([itself_FKTC[padded], near_NKTC])
    return windows_FTC, near_FKTC, torch.cat([alone_FK[padded], far_NK])


def _whole(refiner: Windowed, clip: Clip) -> Columns:
    """The one window of a clip that is no longer than that, as offline."""
    window_1TC = ended(_seen(refiner, clip), refiner.window)[None]
    if clip.neighbours_NKTC is None or clip.distances_NK is None:
        return window_1TC, *_alone(refiner, window_1TC)
    return window_1TC, *_found(refiner, clip)


def _seen(refiner: Windowed, clip: Clip) -> Tensor:
    return clip.detected_FC if refiner.takes_missing else without_gaps(clip.detected_FC)


def _alone(refiner: Windowed, windows_NTC: Tensor) -> tuple[Tensor, Tensor]:
    near_NKTC = windows_NTC[:, None].expand(-1, refiner.neighbours, -1, -1)
    return near_NKTC, windows_NTC.new_ones(near_NKTC.shape[:2])


def _found(refiner: Windowed, clip: Clip) -> tuple[Tensor, Tensor]:
    assert clip.neighbours_NKTC is not None  # noqa: S101  (the callers asked)
    assert clip.distances_NK is not None  # noqa: S101
    count = refiner.neighbours
    return clip.neighbours_NKTC[:, :count], clip.distances_NK[:, :count]
