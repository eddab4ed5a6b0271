"""Windows on their way through a network: what it is trained on, and what it predicts."""

from dataclasses import dataclass
from typing import Protocol, Self

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Training windows: detected and truth (B, T, C), neighbours (B, K, T, C) at (B, K).

    Distances are squared. Where a batch holds V views of a moment, windows are (B, V, T, C).
    """

    detected_BTC: Tensor
    truth_BTC: Tensor
    neighbours_BKTC: Tensor
    distances_BK: Tensor

    @classmethod
    def without_neighbours(cls, detected_BTC: Tensor, truth_BTC: Tensor) -> Self:
        """Windows that stand in for their own neighbours, at distance 1."""
        alone_B1 = detected_BTC.new_ones(len(detected_BTC), 1)
        return cls(detected_BTC, truth_BTC, detected_BTC.unsqueeze(1), alone_B1)


@dataclass(frozen=True)
class Prediction:
    """Windows out of a network: poses (B, T, C); quality (B, T) where the network has one."""

    poses_BTC: Tensor
    quality_BT: Tensor | None = None


class WindowSource(Protocol):
    """Training windows on the device, gathered by index."""

    def __len__(self) -> int:
        """Number of windows."""

    def order(self, generator: torch.Generator) -> Tensor:
        """Numbers of all windows in the order of an epoch: every one once, shuffled."""

    def batch(self, index_B: Tensor, generator: torch.Generator) -> Batch:
        """Windows by number; random choices (neighbour, noise) draw from ``generator``."""
