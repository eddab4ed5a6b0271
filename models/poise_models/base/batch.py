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
    """What a network makes of windows: poses (B, T, C), and what it knows of their worth.

    Attributes:
        poses_BTC: refined.
        quality_BT: of the detected frames, in (0, 1]; None where the network knows none.
        error_BTJ: how far off each refined joint is expected to be, in the poses' unit; None where
            the network knows it not.
    """

    poses_BTC: Tensor
    quality_BT: Tensor | None = None
    error_BTJ: Tensor | None = None

    def known(self) -> dict[str, Tensor]:
        """What it holds, by name, poses first."""
        columns = {"poses": self.poses_BTC, "quality": self.quality_BT, "error": self.error_BTJ}
        return {name: column for name, column in columns.items() if column is not None}

    def split(self, counts: Sequence[int]) -> list[Self]:
        """Predictions of so many windows each, in order."""
        columns = (self.poses_BTC, self.quality_BT, self.error_BTJ)
        parts = ([None] * len(counts) if one is None else one.split(counts) for one in columns)
        return [type(self)(*part) for part in zip(*parts, strict=True)]

    @classmethod
    def joined(cls, parts: Sequence[Self], device: torch.device) -> Self:
        """One prediction of many, in float32, on a device."""

        def joined(columns: Sequence[Tensor | None]) -> Tensor | None:
            known = [column.float() for column in columns if column is not None]
            return torch.cat(known).to(device) if known else None

        poses_BTC = torch.cat([part.poses_BTC.float() for part in parts]).to(device)
        quality_BT = joined([part.quality_BT for part in parts])
        return cls(poses_BTC, quality_BT, joined([part.error_BTJ for part in parts]))


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
