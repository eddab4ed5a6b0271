"""What SynSP and SynSP++ can be set to alike."""

import math
from dataclasses import dataclass
from typing import Literal

from poise_models.base.windows import triangle
from poise_models.errors import ConfigError


@dataclass(frozen=True)
class SynergyConfig:
    """Sizes and switches of both networks.

    Attributes:
        window: frames of a window, T.
        width: numbers of a token, E.
        feed_forward: inner width of a layer's feed-forward part.
        heads: of every attention, 64 numbers wide each.
        layers: of every encoder and decoder.
        dropout: in training, after every part of a layer.
        input: what the network reads: the window's DCT-II over time, or the poses themselves.
        branches: ``split`` gives position and acceleration branch a last layer each (paper);
            ``shared`` applies the last layer once more for both (official code).
        self_attention: self-attention in the decoders (the standard layer; off in the code).
        skip: what the outputs are relative to: nothing (absolute coordinates, the paper), the
            detected window, or its first ``skip_coefficients`` DCT coefficients.
        skip_coefficients: of ``skip: low``.
        weighting: of the frames in SWAA: ``plain``, the paper's mean, or ``triangular``, where
            those in the middle, which have context on both sides, count for more.
        smoothness: factor on all acceleration losses; its inverse is the ratio of Fig. 1(a).
            SynSP's official configurations have 1 or 0.1.
    """

    window: int = 8
    width: int = 128
    feed_forward: int = 128
    heads: int = 5
    layers: int = 5
    dropout: float = 0.2
    input: Literal["dct", "pose"] = "dct"
    branches: Literal["split", "shared"] = "split"
    self_attention: bool = False
    skip: Literal["none", "input", "low"] = "none"
    skip_coefficients: int = 3
    weighting: Literal["plain", "triangular"] = "plain"
    smoothness: float = 1.0

    def __post_init__(self) -> None:
        if self.window < 3:
            raise ConfigError(f"window must be at least 3 frames, not {self.window}")
        if min(self.width, self.feed_forward, self.heads, self.layers) < 1:
            raise ConfigError("width, feed_forward, heads and layers must be positive")
        if not 1 <= self.skip_coefficients <= self.window:
            raise ConfigError("skip_coefficients must lie between 1 and the window's frames")
        if self.weighting not in ("plain", "triangular"):
            raise ConfigError(f"weighting must be plain or triangular, not {self.weighting!r}")
        if not 0 <= self.smoothness < math.inf:
            raise ConfigError(f"smoothness must be finite, 0 or more, not {self.smoothness}")

    @property
    def weights_T(self) -> tuple[float, ...] | None:
        """What each frame of a window counts for in SWAA; None is the plain mean."""
        return triangle(self.window) if self.weighting == "triangular" else None
