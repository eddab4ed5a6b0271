"""The windows that a frame may use at a lag: those that contain it and end in time.

Window n ends with frame n. At lag L frame t is the weighted mean of windows t .. t + L (SWAA), from
window L on, with which the first frame is due. Windows that begin before the first frame repeat it,
T - 1 - L times at most, so at lag T - 1 every frame is the mean of the windows it has offline.

Shape letters: T frames of a window, F frames of a sequence, C = joints x dims.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from poise_models.base.window_refiner import WindowRefiner
from poise_models.errors import ConfigError
from poise_models.filters.linear import Linear

#: What sees a sequence by windows, and can therefore be cut short at any frame.
Windowed = WindowRefiner | Linear


def check_lag(refiner: Windowed, lag: int) -> None:
    """Refuse what cannot be.

    Raises:
        ConfigError: the lag is none of 0 .. T - 1, or the refiner wants several views at once.
    """
    if not 0 <= lag < refiner.window:
        raise ConfigError(
            f"{refiner.name}: lag must lie in 0 .. {refiner.window - 1}, not {lag}: a window of "
            f"{refiner.window} frames knows all it can after {refiner.window - 1}"
        )
    if isinstance(refiner, WindowRefiner) and refiner.views > 1:
        raise ConfigError(f"{refiner.name} of {refiner.views} views does not run live")


def ended(frames_FC: Tensor, length: int) -> Tensor:
    """The window (T, C) of a sequence that ended before its first frame was due, as offline."""
    return torch.cat([frames_FC, frames_FC[-1:].expand(length - len(frames_FC), -1)])


def without_gaps(detected_FC: Tensor) -> Tensor:
    """Numbers that were not seen (NaN) stay what they were last; before they were seen, NaN."""
    missing_FC = detected_FC.isnan().numpy(force=True)
    if not missing_FC.any():
        return detected_FC
    seen_FC = np.where(missing_FC, 0, np.arange(len(missing_FC))[:, None])
    last_FC = torch.from_numpy(np.maximum.accumulate(seen_FC, axis=0))
    return detected_FC.gather(0, last_FC.to(detected_FC.device))


def predicted(
    refiner: Windowed, detected_NTC: Tensor, neighbours_NKTC: Tensor, distances_NK: Tensor
) -> dict[str, Tensor]:
    """What a refiner knows of windows, by name, a person's constant taken off."""
    known = refiner.predict(detected_NTC, neighbours_NKTC, distances_NK).known()
    if isinstance(refiner, Linear):  # networks have taken it off
        known["poses"] = known["poses"] - refiner.constant_C
    return known


def weights_of(refiner: Windowed) -> Tensor:
    """What each of a window's frames counts for, (T,)."""
    return torch.tensor(refiner.weights_T or [1.0] * refiner.window)


def mean_in_time(windows_FT: Tensor, lag: int, weights_T: Sequence[float] | Tensor) -> Tensor:
    """Average windows of which number n ends with frame n, as far as they end in time.

    Args:
        windows_FT: (F, T, ...), one for every frame.
        lag: frames that a frame waits for, fewer than F; at the end no more can come.
        weights_T: what each of a window's frames counts for.

    Returns:
        (F, ...).
    """
    frames, length = windows_FT.shape[:2]
    total = torch.zeros_like(windows_FT[:, 0])
    cover_F = total.new_zeros(frames)
    for later in range(min(lag, frames - 1) + 1):
        place, first = length - 1 - later, lag - later
        total[first : frames - later] += weights_T[place] * windows_FT[lag:, place]
        cover_F[first : frames - later] += weights_T[place]
    return total / cover_F.view(-1, *[1] * (total.dim() - 1))


def values_of(known: Mapping[str, Tensor]) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """The arguments of `poise_models.base.clip.Refined`, from what a prediction knows by name."""
    return known["poses"], known.get("quality"), known.get("error")
