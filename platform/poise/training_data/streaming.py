"""Training windows of a track that does not fit: shuffled blocks of the lake, read while training.

The row groups of the lake are dealt anew every epoch to pools of a third of the allowed memory,
each with its share of all parts of the lake. The windows of a pool are shuffled together, so a
batch is drawn across all row groups of its pool, and every window comes once an epoch. While one
pool is trained on, the next is read in the background. Of a lake elsewhere, such as s3://, the node
keeps copies on its own disk (`poise.training_data.node_copies`).
"""

from collections.abc import Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from poise.catalog.tracks import Track
from poise.lake.ids import Ints, ranges
from poise.lake.manifest import read_manifest
from poise.lake.poses import POSES, read_row_group
from poise.lake.schemas import NEIGHBOURS
from poise.lake.split_index import Bools, RowGroup, SplitIndex
from poise.lake.windows import read_neighbours
from poise.pvd.pose_bank import PoseBank
from poise.runtime.errors import LakeError
from poise.runtime.storage import Location
from poise.training_data.neighbour_draw import NeighbourDraw
from poise.training_data.node_copies import NodeCopies
from poise.training_data.noise import DrawnAnew
from poise_models.base.batch import Batch
from poise_models.base.refiner import Pair
from poise_retrieval.neighbours import Neighbours

#: Poses held at once where nobody says otherwise.
MEMORY_BYTES = 2**30


@dataclass(frozen=True)
class StreamedSplit:
    """The train split of a track, left in the lake.

    Attributes:
        subjects: whose sequences; all where None.
        memory_bytes: how much of it may be in memory at once, neighbours and their poses included.
    """

    lake: Location
    track: Track
    subjects: Collection[str] | None = None
    memory_bytes: int = MEMORY_BYTES

    def index(self) -> tuple[SplitIndex, Bools]:
        """List the sequences, and say which are meant; raise `LakeError` without ground truth."""
        index = SplitIndex.read(self.lake, read_manifest(self.lake, self.track), "train")
        if not index.truth:
            raise LakeError(f"{self.track}: this needs ground truth, and the split has none")
        return index, index.of_subjects(self.subjects)

    def bank(self) -> PoseBank | None:
        """Read the poses behind the PVD; None where the track has no PVD.

        Raises:
            LakeError: together with the neighbours they take more than half of the allowed memory.
        """
        if read_manifest(self.lake, self.track).pvd is None:
            return None
        index, _ = self.index()
        poses, neighbours = 4 * index.width * int(index.frames_S.sum()), 12 * NEIGHBOURS
        self.check_neighbours_fit(poses + neighbours * index.windows)
        return PoseBank.read(index)

    def check_neighbours_fit(self, size: int) -> None:
        """Raise `LakeError` where so many bytes of neighbours leave too little for the windows."""
        if size > self.memory_bytes // 2:
            raise LakeError(
                f"{self.track}: neighbours and their poses take {size / 2**30:.2g} GiB, more than "
                f"half of the {self.memory_bytes / 2**30:.2g} GiB allowed (stream_gb): allow at "
                f"least {2 * size / 2**30:.2g} GiB, or train a refiner without neighbours"
            )

    def pairs(self) -> Iterator[Pair]:
        """Read all sequences once, with their subjects, a row group at a time."""
        index, wanted_S = self.index()
        for group in index.groups:
            if not wanted_S[group.rows].any():
                continue
            poses = read_row_group(index, group, POSES, wanted_S)
            rows = np.flatnonzero(wanted_S[group.rows]) + group.rows.start
            frames = index.frames_S[rows].tolist()
            subjects = [index.subjects[row] for row in rows]
            pairs = (torch.tensor(poses[name]).split(frames) for name in ("detected", "truth"))
            yield from map(Pair, subjects, *pairs)


@dataclass(frozen=True)
class _Pool:
    """Row groups in memory: frames one after the other, and where each sequence begins."""

    first_S: Tensor
    detected_FC: Tensor
    truth_FC: Tensor


class StreamedWindows:
    """Training windows of any length, read from the lake in the order of the epoch."""

    def __init__(
        self,
        split: StreamedSplit,
        length: int,
        bank: PoseBank | None,
        device: str = "cpu",
        missing: bool = False,
    ) -> None:
        """List the windows; nothing is read before the first batch.

        ``missing`` is as in `DrawnAnew`.

        Raises:
            LakeError: no training sequence is long enough; or ``bank`` is given, and poses and
                neighbours together take more than half of the allowed memory.
        """
        self.track, self.device = split.track, device
        self._anew = DrawnAnew(split.track, device, missing)
        self._index, self._wanted_S = split.index()
        self._copies = NodeCopies(self._index)
        frames_S = torch.from_numpy(np.where(self._wanted_S, self._index.frames_S, 0))
        count_S = (frames_S - length + 1).clamp(min=0)
        if int(count_S.sum()) == 0:
            raise LakeError(f"{split.track}: no training sequence has {length} frames")
        self._ends_S = count_S.cumsum(0)
        self._counts_S = count_S
        self._step_T = torch.arange(length, device=device)
        budget = split.memory_bytes
        self._draw: NeighbourDraw | None = None
        if bank is not None and read_manifest(split.lake, split.track).pvd is not None:
            neighbours = self._neighbours(split, count_S.numpy())
            size = bank.truth_FC.nbytes + neighbours.ids_BK.nbytes + neighbours.distances_BK.nbytes
            split.check_neighbours_fit(size)
            self._draw = NeighbourDraw(bank, neighbours, device)
            budget -= size
        self._pool_bytes = budget // 3
        self._groups = [group for group in self._index.groups if self._windows_of(group)]
        self._deal(torch.Generator().manual_seed(0))
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="lake")

    def __len__(self) -> int:
        """Number of windows."""
        return int(self._ends_S[-1])

    def order(self, generator: torch.Generator) -> Tensor:
        """Shuffle row groups, and the windows of each pool; return window numbers, (N,)."""
        self._deal(generator)
        parts = []
        for pool in self._pools:
            number_N = torch.cat([self._numbers(group) for group in pool])
            turn_N = torch.randperm(len(number_N), generator=generator, device=generator.device)
            parts.append(number_N[turn_N.cpu()])
        return torch.cat(parts)

    def batch(self, index_B: Tensor, generator: torch.Generator) -> Batch:
        """Gather windows by number; noise and neighbour are drawn anew every time."""
        index_B = index_B.cpu()
        row_B = torch.searchsorted(self._ends_S, index_B, right=True)
        start_B = index_B - (self._ends_S - self._counts_S)[row_B]
        pool_B = self._pool_S[row_B]
        shape = (len(index_B), len(self._step_T), self._index.width)
        detected_BTC, truth_BTC = (torch.empty(shape, device=self.device) for _ in range(2))
        for number in pool_B.unique().tolist():
            pool = self._pool(number)
            here_B = (pool_B == number).nonzero()[:, 0]
            first_B = (pool.first_S[row_B[here_B]] + start_B[here_B]).to(self.device)
            frame_BT = first_B[:, None] + self._step_T
            here_B = here_B.to(self.device)
            detected_BTC[here_B] = pool.detected_FC[frame_BT]
            truth_BTC[here_B] = pool.truth_FC[frame_BT]
        detected_BTC = self._anew(detected_BTC, truth_BTC, generator)
        if self._draw is None:
            return Batch.without_neighbours(detected_BTC, truth_BTC)
        here_B = index_B.to(self.device)
        return self._draw.with_neighbours(detected_BTC, truth_BTC, here_B, generator)

    def _neighbours(self, split: StreamedSplit, count_S: Ints) -> Neighbours:
        """Read the neighbours of the training windows, in the order of their numbers."""
        manifest = read_manifest(split.lake, split.track)
        found = read_neighbours(split.lake, manifest, self._index, self._wanted_S)
        # A sequence shorter than a window has one row in the lake, and no training window.
        windows_S = self._index.windows_S[self._wanted_S]
        row_N = ranges(np.cumsum(windows_S) - windows_S, count_S[self._wanted_S])
        return Neighbours(found.ids_BK[row_N], found.distances_BK[row_N])

    def _deal(self, generator: torch.Generator) -> None:
        """Deal the row groups to pools: of groups that follow one another, each pool gets one.

        The lake is in name order, so every pool gets its share of every subject.
        """
        most = max(int(self._frames_S(group).sum()) for group in self._groups)
        each = max(self._pool_bytes // (8 * self._index.width * most), 1)
        count = -(-len(self._groups) // each)
        self._pools: list[list[RowGroup]] = [[] for _ in range(count)]
        self._pool_S = torch.full((len(self._index.frames_S),), -1)
        self._ready: dict[int, Future[_Pool]] = {}
        for at in range(0, len(self._groups), count):
            turn = torch.randperm(count, generator=generator, device=generator.device).tolist()
            for number, group in zip(turn, self._groups[at : at + count], strict=False):
                self._pools[number].append(group)
                self._pool_S[group.rows] = number

    def _pool(self, number: int) -> _Pool:
        """Wait for a pool, let the ones before it go, and have the next one read."""
        for ahead in range(number, min(number + 2, len(self._pools))):
            if ahead not in self._ready:
                groups = self._pools[ahead]
                self._ready[ahead] = self._reader.submit(self._read, groups)
        for old in [
            known for known in self._ready if known not in (number - 1, number, number + 1)
        ]:
            self._ready.pop(old).cancel()
        return self._ready[number].result()

    def _read(self, groups: list[RowGroup]) -> _Pool:
        first_S = torch.full((len(self._index.frames_S),), -1)
        total = sum(int(self._frames_S(group).sum()) for group in groups)
        detected_FC, truth_FC = (torch.empty((total, self._index.width)) for _ in range(2))
        at = 0
        for group in groups:
            frames_S = self._frames_S(group)
            first_S[group.rows] = torch.from_numpy(at + np.cumsum(frames_S) - frames_S)
            poses = self._copies.read(group, self._wanted_S)
            end = at + int(frames_S.sum())
            detected_FC.numpy()[at:end] = poses["detected"]
            truth_FC.numpy()[at:end] = poses["truth"]
            at = end
        return _Pool(first_S, detected_FC.to(self.device), truth_FC.to(self.device))

    def _frames_S(self, group: RowGroup) -> NDArray[np.int64]:
        return np.where(self._wanted_S[group.rows], self._index.frames_S[group.rows], 0)

    def _windows_of(self, group: RowGroup) -> int:
        return int(self._counts_S[group.rows].sum())

    def _numbers(self, group: RowGroup) -> Tensor:
        end = int(self._ends_S[group.rows.stop - 1])
        return torch.arange(end - self._windows_of(group), end)
