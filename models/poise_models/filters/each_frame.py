"""Streams through what sees every frame by itself."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


class EachFrame:
    """A stream that remembers nothing."""

    def __init__(self, change: Callable[[Floats], Floats]) -> None:
        self._change = change

    def push(self, frame_C: Floats, step: float) -> list[Floats]:
        """The frame, changed."""
        return [self._change(frame_C)]

    def finish(self) -> list[Floats]:
        """Nothing waits."""
        return []
