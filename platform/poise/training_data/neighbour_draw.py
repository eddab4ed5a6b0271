"""A neighbour for every training window, drawn anew each time it is trained on.

Shape letters: N windows, R rows of the neighbours, B windows of a batch, K neighbours.
"""

import torch
from torch import Tensor

from poise.lake.ids import Ints
from poise.pvd.pose_bank import PoseBank
from poise.training_data.tensors import read_only
from poise_models.base.batch import Batch
from poise_retrieval.neighbours import Neighbours


class NeighbourDraw:
    """The neighbours of N windows and the poses they stand for, on a device."""

    def __init__(
        self, bank: PoseBank, neighbours: Neighbours, device: str, row_N: Ints | None = None
    ) -> None:
        """Move them to the device; what is there already is shared, not copied.

        Args:
            bank: the poses.
            neighbours: of the windows, and maybe of others; read only.
            device: where windows are gathered.
            row_N: the row of each window among the neighbours; row after row where None.
        """
        self.bank = bank.to(device)
        self.ids_RK = read_only(neighbours.ids_BK).to(device)
        self.distances_RK = read_only(neighbours.distances_BK).to(device)
        self.row_N = None if row_N is None else torch.from_numpy(row_N).to(device)

    def with_neighbours(
        self, detected_BTC: Tensor, truth_BTC: Tensor, index_B: Tensor, generator: torch.Generator
    ) -> Batch:
        """Return windows with one neighbour each: the nearest in half of the draws, else another.

        Args:
            detected_BTC: the windows, which the neighbours are brought to.
            truth_BTC: their ground truth.
            index_B: their numbers.
            generator: of the draw.
        """
        row_B = index_B if self.row_N is None else self.row_N[index_B]
        ids_BK = self.ids_RK[row_B]
        rank_B1 = _draw_rank(ids_BK, generator)
        ids_B1 = ids_BK.gather(1, rank_B1)
        distances_B1 = self.distances_RK[row_B].gather(1, rank_B1)
        found_B1TC, distances_B1 = self.bank.neighbours(detected_BTC, ids_B1, distances_B1)
        return Batch(detected_BTC, truth_BTC, found_B1TC, distances_B1)


def _draw_rank(ids_BK: Tensor, generator: torch.Generator) -> Tensor:
    batch, ranks = ids_BK.shape
    coin_B = torch.rand(batch, generator=generator, device=ids_BK.device)
    other_B = torch.randint(1, max(ranks, 2), (batch,), generator=generator, device=ids_BK.device)
    rank_B1 = torch.where(coin_B < 0.5, 0, other_B).clamp(max=ranks - 1)[:, None]
    return torch.where(ids_BK.gather(1, rank_B1) >= 0, rank_B1, 0)
