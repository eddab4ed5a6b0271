"""The poses behind a PVD: the truth windows of the train split, by window id."""

from copy import copy
from typing import Self

import numpy as np
import torch
from torch import Tensor

from poise.lake.ids import WINDOW, Ints, decode, encode
from poise.lake.poses import read_poses
from poise.lake.split_index import SplitIndex
from poise.runtime.errors import LakeError
from poise_retrieval.geometry.framing import bring_into_frame


class PoseBank:
    """The truth windows of a train split, by window id."""

    def __init__(self, train: SplitIndex, truth_FC: Tensor, first_S: Ints | None = None) -> None:
        """Make a bank of poses that are in memory; they are not copied.

        Args:
            train: the sequences.
            truth_FC: their frames, and maybe others.
            first_S: first frame of each sequence; one after the other where None.
        """
        if first_S is None:
            first_S = np.cumsum(train.frames_S) - train.frames_S
        order_S = np.argsort(train.ids_S)
        self.track = train.track
        self.truth_FC = truth_FC
        self.ids_S = torch.from_numpy(train.ids_S[order_S])
        self.first_S = torch.from_numpy(first_S[order_S])
        self.last_S = torch.from_numpy((first_S + train.frames_S - 1)[order_S])

    @classmethod
    def read(cls, train: SplitIndex) -> Self:
        """Read the poses from the lake, and nothing else.

        Args:
            train: of `SplitIndex.read`.

        Raises:
            LakeError: the split has no ground truth, or cannot be read.
        """
        if not train.truth:
            raise LakeError(f"{train.track}: this needs ground truth, and the split has none")
        return cls(train, torch.from_numpy(read_poses(train, ("truth",))["truth"]))

    def windows(self, ids_B: Tensor) -> Tensor:
        """Truth windows (B, T, C) by window id, as they were captured."""
        sequence_B, start_B = decode(ids_B)
        row_B = torch.searchsorted(self.ids_S, sequence_B).clamp(max=len(self.ids_S) - 1)
        if not torch.equal(self.ids_S[row_B], sequence_B):
            raise LakeError(
                f"{self.track}: a neighbour's window is not in the lake's train split; "
                "PVD and lake are from different ingests: run poise ingest --force"
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
