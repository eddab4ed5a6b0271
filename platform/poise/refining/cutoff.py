"""The cutoff of a low-pass by residual analysis (Winter, Biomechanics of Human Movement).

What a filter takes away grows straight as the cutoff falls as long as it takes noise alone. The
line through that part, drawn on to 0 Hz, is how much noise there is; the cutoff at which as much is
taken away leaves as much noise in as it takes motion out.

Shape letters: G points, X channels, H cutoffs.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from poise.refining.filters import filter_called
from poise.refining.grid import Floats

#: Cutoffs that are tried, in Hz; no filter goes beyond `_MOST_SHARE` of half the frame rate.
_LOWEST: Final = 0.5
_HIGHEST: Final = 20.0
_STEP: Final = 0.25
_MOST_SHARE: Final = 0.9
#: The tail is straight where it explains so much of its own variance.
_STRAIGHT: Final = 0.95
_FEWEST_POINTS: Final = 30
_FEWEST_CUTOFFS: Final = 8


@dataclass(frozen=True)
class Residuals:
    """What is taken away at each cutoff, and where that leads.

    Attributes:
        cutoffs_H: in Hz.
        residual_HX: root mean square of what is taken away.
        noise_X: of the line through the straight part, at 0 Hz.
        chosen_X: the cutoff of each channel, in Hz.
    """

    cutoffs_H: Floats
    residual_HX: Floats
    noise_X: Floats
    chosen_X: Floats

    @property
    def chosen(self) -> float:
        """The cutoff of all that moves together, in Hz."""
        moving_X = self.chosen_X > self.cutoffs_H[0] + _STEP
        return float(np.median(self.chosen_X[moving_X] if moving_X.any() else self.chosen_X))


def residual_analysis(values_GX: Floats, fps: float) -> Residuals | None:
    """Find the cutoff of each channel; None where there is too little motion or rate to tell.

    Args:
        values_GX: without gaps.
        fps: points a second.
    """
    cutoffs_H = np.arange(_LOWEST, min(_HIGHEST, _MOST_SHARE * fps / 2), _STEP)
    moving_X = values_GX.std(0) > 0
    values_GX = values_GX[:, moving_X]
    if len(values_GX) < _FEWEST_POINTS or len(cutoffs_H) < _FEWEST_CUTOFFS or not moving_X.any():
        return None
    low_pass = filter_called("butterworth")
    taken_HGX = (values_GX - low_pass(values_GX, cutoff / fps) for cutoff in cutoffs_H)
    residual_HX = np.array([np.sqrt((taken_GX**2).mean(0)) for taken_GX in taken_HGX])
    noise_X = np.array([_noise(cutoffs_H, residual_H) for residual_H in residual_HX.T])
    above_HX = residual_HX > noise_X
    # Residuals fall as cutoffs rise; the last that is above the noise and its next enclose it.
    last_X = np.clip(above_HX.sum(0) - 1, 0, len(cutoffs_H) - 2)
    columns_X = np.arange(len(noise_X))
    high_X, low_X = residual_HX[last_X, columns_X], residual_HX[last_X + 1, columns_X]
    share_X = np.clip((high_X - noise_X) / np.maximum(high_X - low_X, 1e-300), 0, 1)
    chosen_X = cutoffs_H[last_X] + share_X * _STEP
    return Residuals(cutoffs_H, residual_HX, noise_X, chosen_X)


def _noise(cutoffs_H: Floats, residual_H: Floats) -> float:
    """Where the longest straight tail leads to at 0 Hz."""
    found = float(residual_H[-1])
    for start in range(len(cutoffs_H) - _FEWEST_CUTOFFS, -1, -1):
        slope, at_zero = np.polyfit(cutoffs_H[start:], residual_H[start:], 1)
        left = residual_H[start:] - (slope * cutoffs_H[start:] + at_zero)
        spread = residual_H[start:].var()
        if spread > 0 and 1 - left.var() / spread < _STRAIGHT:
            break
        found = max(float(at_zero), float(residual_H[-1]))
    return found
