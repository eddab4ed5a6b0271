"""The poses behind a PVD, and which of them are the neighbours of a window."""

from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor

from poise.catalog.tracks import Track
from poise.lake.ids import WINDOW, decode, encode, window_count
from poise.lake.split_index import Listing
from poise.runtime.errors import LakeError
from poise_models.base.batch import Batch
from poise_retrieval.geometry.framing import bring_into_frame

if TYPE_CHECKING:
    from poise.training_data.split import TrackSplit


class PoseBank:
    """The poses behind a PVD: the truth windows of the train split, by window id."""

    def __init__(self, train: "TrackSplit") -> None:
        self._keep(train.track, train.truth, train.sequence_ids_S, train.offsets_S)

    @classmethod
    def read(cls, track: Track, train: Listing) -> Self:
        """Read the poses from the lake, without the detections that come with a `TrackSplit`."""
        everyone_S = train.of_subjects(None)
        bank = cls.__new__(cls)
        truth_FC = train.frames(everyone_S, ("truth",))["truth"]
        offsets_S = offsets(torch.from_numpy(train.frames_S))
        bank._keep(track, truth_FC, torch.from_numpy(train.ids_S), offsets_S)
        return bank

    def _keep(self, track: Track, truth_FC: Tensor, ids_S: Tensor, offsets_S: Tensor) -> None:
        self.track = track
        self.truth_FC = truth_FC
        order = ids_S.argsort()
        self.ids_S = ids_S[order]
        self.first_S = offsets_S[:-1][order]
        self.last_S = offsets_S[1:][order] - 1

    def windows(self, ids_B: Tensor) -> Tensor:
        """Truth windows (B, T, C) by window id, as they were captured."""
        sequence_B, start_B = decode(ids_B)
        row_B = torch.searchsorted(self.ids_S, sequence_B).clamp(max=len(self.ids_S) - 1)
        if not torch.equal(self.ids_S[row_B], sequence_B):
            raise LakeError(
                f"{self.track}: a neighbour's window is not in the lake's train split; "
                "PVD and lake are from different ingests: run jobs/ingest.py --force"
            )
        first_B = self.first_S[row_B] + start_B
        frame_BT = first_B[:, None] + torch.arange(WINDOW, device=ids_B.device)
        return self.truth_FC[torch.minimum(frame_BT, self.last_S[row_B, None])]

    def neighbours(
        self, detected_BTC: Tensor, ids_BK: Tensor, distances_BK: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Neighbours brought into the detected windows' frame, and their distances.

        One similarity over all T x J points of a window (3D, 2D); SMPL rotations stay as they are.
        A window without a neighbour gets itself, at distance 1.

        Args:
            detected_BTC: (B, T, C).
            ids_BK: window ids, -1 where there is none.
            distances_BK: squared L2 distances.

        Returns:
            (B, K, T, C) and (B, K).
        """
        ids_N = ids_BK.flatten()  # N = B x K
        found_N = ids_N >= 0
        target_NTC = detected_BTC[:, None].expand(-1, ids_BK.shape[1], -1, -1).flatten(0, 1)
        first = encode(self.ids_S[0], torch.zeros_like(self.ids_S[0]))
        poses_NTC = self.windows(torch.where(found_N, ids_N, first))
        poses_NTC = bring_into_frame(poses_NTC, target_NTC, self.track.representation)
        poses_NTC = torch.where(found_N[:, None, None], poses_NTC, target_NTC)
        return poses_NTC.unflatten(0, ids_BK.shape), torch.where(ids_BK >= 0, distances_BK, 1.0)

    def to(self, device: str) -> Self:
        """The same bank on a device."""
        moved = copy(self)
        for name in ("truth_FC", "ids_S", "first_S", "last_S"):
            setattr(moved, name, getattr(self, name).to(device))
        return moved


@dataclass(frozen=True)
class Neighbours:
    """Neighbours of N windows, best first: ids (-1 where there is none), squared distances."""

    ids_NK: Tensor
    distances_NK: Tensor

    def of_windows(self, frames_S: Tensor, count_S: Tensor) -> Self:
        """From the rows of the lake's windows table to the first ``count_S`` windows of each.

        Sequences shorter than a window have one row in the table, and no training window.
        """
        windows_S = window_count(frames_S)
        row_N = ranges(windows_S.cumsum(0) - windows_S, count_S)
        return type(self)(self.ids_NK[row_N], self.distances_NK[row_N])

    def draw(self, index_B: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Take one neighbour a window, the nearest with probability 1/2, else another: (B, 1)."""
        ids_BK = self.ids_NK[index_B]
        rank_B1 = _draw_rank(ids_BK, generator)
        return ids_BK.gather(1, rank_B1), self.distances_NK[index_B].gather(1, rank_B1)

    def to(self, device: str) -> Self:
        """The same on a device."""
        return type(self)(self.ids_NK.to(device), self.distances_NK.to(device))


def accompany(
    detected_BTC: Tensor,
    truth_BTC: Tensor,
    bank: PoseBank,
    neighbours: Neighbours,
    index_B: Tensor,
    generator: torch.Generator,
) -> Batch:
    """Windows with a neighbour each, drawn anew."""
    ids_B1, distances_B1 = neighbours.draw(index_B, generator)
    found_B1TC, distances_B1 = bank.neighbours(detected_BTC, ids_B1, distances_B1)
    return Batch(detected_BTC, truth_BTC, found_B1TC, distances_B1)


def _draw_rank(ids_BK: Tensor, generator: torch.Generator) -> Tensor:
    batch, ranks = ids_BK.shape
    coin_B = torch.rand(batch, generator=generator, device=ids_BK.device)
    other_B = torch.randint(1, max(ranks, 2), (batch,), generator=generator, device=ids_BK.device)
    rank_B = torch.where(coin_B < 0.5, 0, other_B).clamp(max=ranks - 1)[:, None]
    return torch.where(ids_BK.gather(1, rank_B) >= 0, rank_B, 0)


def offsets(length_S: Tensor) -> Tensor:
    """First frame of each sequence, and the end, (S + 1,)."""
    return torch.cat([length_S.new_zeros(1), length_S.cumsum(0)])


def ranges(first_S: Tensor, count_S: Tensor) -> Tensor:
    """Concatenate the ranges first .. first + count - 1."""
    offset_N = torch.repeat_interleave(first_S - (count_S.cumsum(0) - count_S), count_S)
    return offset_N + torch.arange(len(offset_N), device=first_S.device)
