"""Windows on their way through a network: what it is trained on, and what it predicts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import torch
from torch import Tensor

#: Tensors of N rows each, which belong together row by row.
Columns = tuple[Tensor, ...]


@dataclass(frozen=True)
class Batch:
    """Training windows; where they are of V views of a moment, (B, V, T, C).

    Attributes:
        detected_BTC: the estimator's output.
        truth_BTC: ground truth.
        neighbours_BKTC: poses of the PVD near each window, in the window's frame.
        distances_BK: their squared L2 distances in embedding space.
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
    """What a network makes of windows: poses (B, T, C), and quality (B, T) where it knows any."""

    poses_BTC: Tensor
    quality_BT: Tensor | None = None

    @classmethod
    def joined(cls, parts: Sequence[Self], device: torch.device) -> Self:
        """One prediction of many, in float32, on a device."""
        poses_BTC = torch.cat([part.poses_BTC.float() for part in parts]).to(device)
        known = [part.quality_BT.float() for part in parts if part.quality_BT is not None]
        return cls(poses_BTC, torch.cat(known).to(device) if known else None)


class WindowSource(Protocol):
    """Training windows on the device, gathered by index."""

    def __len__(self) -> int:
        """Number of windows."""

    def order(self, generator: torch.Generator) -> Tensor:
        """Numbers of all windows in the order of an epoch: every one once, shuffled."""

    def batch(self, index_B: Tensor, generator: torch.Generator) -> Batch:
        """Windows by number; random choices (neighbour, noise) draw from ``generator``."""


def split_rows(columns: Columns, rows: int) -> list[Columns]:
    """Cut all columns into chunks of so many rows; the last chunk has what is left."""
    return list(zip(*(column.split(rows) for column in columns), strict=True))
