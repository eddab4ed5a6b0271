"""From the lake to tensors: a split in memory, training windows by index, clips for a refiner.

A track is loaded once into contiguous tensors and windows are gathered by number; nothing here
loops over windows in Python.
"""

from collections.abc import Collection, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from poise import lake as lakes
from poise.errors import LakeError
from poise.listing import Listing
from poise.parts import read_part, row_group_sizes
from poise.storage import Location
from poise.tracks import Noise, Track
from poise_models.refiner import Batch, Clip, Refiner, WindowRefiner
from poise_models.windows import unfold
from poise_retrieval.framing import bring_into_frame


@dataclass(frozen=True)
class TrackSplit:
    """All sequences of a split, frames one after the other.

    Attributes:
        cameras: of each sequence; None where there is one camera.
        takes: what the sequences of one moment share; None where there is one camera.
        sequence_ids_S: (S,) int64.
        offsets_S: (S + 1,) first frame of each sequence, and the end.
        detected_FC: (F, C) float32.
        truth_FC: the same, or None where the split has no ground truth.
        neighbour_ids_NK: per window of the lake the window ids of its neighbours, best first, -1
            where there is none; windows in sequence order. None where the track has no PVD.
        neighbour_distances_NK: squared L2, inf where there is none.
    """

    track: Track
    names: list[str]
    subjects: list[str]
    cameras: list[str | None]
    takes: list[str | None]
    sequence_ids_S: Tensor
    offsets_S: Tensor
    detected_FC: Tensor
    truth_FC: Tensor | None
    neighbour_ids_NK: Tensor | None
    neighbour_distances_NK: Tensor | None

    @property
    def lengths_S(self) -> Tensor:
        """Frames of each sequence."""
        return self.offsets_S.diff()

    @property
    def truth(self) -> Tensor:
        """Ground truth; raise `LakeError` where there is none."""
        if self.truth_FC is None:
            raise LakeError(f"{self.track}: this needs ground truth, and the split has none")
        return self.truth_FC

    def detected(self) -> list[Tensor]:
        """Detected sequences, (F, C) each, as views."""
        return list(self.detected_FC.split(self.lengths_S.tolist()))

    def truths(self) -> list[Tensor]:
        """Ground truth sequences, (F, C) each, as views."""
        return list(self.truth.split(self.lengths_S.tolist()))

    def only(self, subjects: Collection[str]) -> Self:
        """The sequences of some subjects."""
        return self.take([i for i, s in enumerate(self.subjects) if s in subjects])

    def without(self, subjects: Collection[str]) -> Self:
        """The sequences of all other subjects."""
        return self.take([i for i, s in enumerate(self.subjects) if s not in subjects])

    def take(self, rows: Sequence[int]) -> Self:
        """Some sequences, by number."""
        row_S = torch.tensor(rows, dtype=torch.long)
        length_S = self.lengths_S[row_S]
        frame_F = _ranges(self.offsets_S[row_S], length_S)
        windows_S = lake_windows(self.lengths_S)
        window_N = _ranges((windows_S.cumsum(0) - windows_S)[row_S], windows_S[row_S])
        ids, distances = self.neighbour_ids_NK, self.neighbour_distances_NK
        return type(self)(
            track=self.track,
            names=[self.names[row] for row in rows],
            subjects=[self.subjects[row] for row in rows],
            cameras=[self.cameras[row] for row in rows],
            takes=[self.takes[row] for row in rows],
            sequence_ids_S=self.sequence_ids_S[row_S],
            offsets_S=_offsets(length_S),
            detected_FC=self.detected_FC[frame_F],
            truth_FC=None if self.truth_FC is None else self.truth_FC[frame_F],
            neighbour_ids_NK=None if ids is None else ids[window_N],
            neighbour_distances_NK=None if distances is None else distances[window_N],
        )

    def windows(self, length: int, bank: "PoseBank | None", device: str) -> "TrainingWindows":
        """Its training windows, resident on a device."""
        return TrainingWindows(self, length, bank, device)

    def chunks(self) -> Iterator[tuple[Tensor, Tensor]]:
        """All frames, detected and truth (F, C), in one piece."""
        yield self.detected_FC, self.truth

    def clips(self, bank: "PoseBank | None") -> list[Clip]:
        """All sequences as a refiner wants them, each window with its nearest neighbour."""
        detected = self.detected()
        if bank is None or self.neighbour_ids_NK is None or self.neighbour_distances_NK is None:
            return [Clip(one) for one in detected]
        counts = lake_windows(self.lengths_S).tolist()
        ids = self.neighbour_ids_NK[:, 0].split(counts)
        distances = self.neighbour_distances_NK[:, 0].split(counts)
        return [
            Clip(one, None, *bank.neighbours(unfold(one, lakes.WINDOW), ids_N, distances_N))
            for one, ids_N, distances_N in zip(detected, ids, distances, strict=True)
        ]


class PoseBank:
    """The poses behind a PVD: the truth windows of the train split, by window id."""

    def __init__(self, train: TrackSplit) -> None:
        self._keep(train.track, train.truth, train.sequence_ids_S, train.offsets_S)

    @classmethod
    def read(cls, track: Track, train: Listing) -> Self:
        """Read the poses from the lake, without the detections that come with a `TrackSplit`."""
        everyone_S = train.of_subjects(None)
        bank = cls.__new__(cls)
        truth_FC = train.frames(everyone_S, ("truth",))["truth"]
        offsets_S = _offsets(torch.from_numpy(train.frames_S))
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
        row_B = torch.searchsorted(self.ids_S, ids_B >> lakes.START_BITS).clamp(
            max=len(self.ids_S) - 1
        )
        if not torch.equal(self.ids_S[row_B], ids_B >> lakes.START_BITS):
            raise LakeError(
                f"{self.track}: a neighbour's window is not in the lake's train split; "
                "PVD and lake are from different ingests: run jobs/ingest.py --force"
            )
        start_B = self.first_S[row_B] + (ids_B & ((1 << lakes.START_BITS) - 1))
        frame_BT = start_B[:, None] + torch.arange(lakes.WINDOW, device=ids_B.device)
        return self.truth_FC[torch.minimum(frame_BT, self.last_S[row_B, None])]

    def neighbours(
        self, detected_BTC: Tensor, ids_B: Tensor, distances_B: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Neighbours brought into the detected windows' frame, and their distances.

        One similarity over all T x J points of a window (3D, 2D); SMPL rotations stay as they are.
        A window without a neighbour gets itself, at distance 1.

        Args:
            detected_BTC: (B, T, C).
            ids_B: window ids, -1 where there is none.
            distances_B: squared L2 distances.

        Returns:
            (B, T, C) and (B,).
        """
        found_B = ids_B >= 0
        windows_BTC = self.windows(torch.where(found_B, ids_B, self.ids_S[0] << lakes.START_BITS))
        windows_BTC = bring_into_frame(windows_BTC, detected_BTC, self.track.representation)
        windows_BTC = torch.where(found_B[:, None, None], windows_BTC, detected_BTC)
        return windows_BTC, torch.where(found_B, distances_B, 1.0)

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
        windows_S = lake_windows(frames_S)
        row_N = _ranges(windows_S.cumsum(0) - windows_S, count_S)
        return type(self)(self.ids_NK[row_N], self.distances_NK[row_N])

    def draw(self, index_B: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Take one neighbour a window: the nearest with probability 1/2, else another."""
        ids_BK = self.ids_NK[index_B]
        rank_B = _draw_rank(ids_BK, generator)
        return (
            ids_BK.gather(1, rank_B).squeeze(1),
            self.distances_NK[index_B].gather(1, rank_B).squeeze(1),
        )

    def to(self, device: str) -> Self:
        """The same on a device."""
        return type(self)(self.ids_NK.to(device), self.distances_NK.to(device))


class TrainingWindows:
    """Training windows of any length, resident on the device (a `WindowSource`)."""

    def __init__(
        self, split: TrackSplit, length: int, bank: PoseBank | None, device: str = "cpu"
    ) -> None:
        lengths_S = split.lengths_S
        count_S = (lengths_S - length + 1).clamp(min=0)
        if int(count_S.sum()) == 0:
            raise LakeError(f"{split.track}: no training sequence has {length} frames")
        self.start_N = _ranges(split.offsets_S[:-1], count_S).to(device)
        self.step_T = torch.arange(length, device=device)
        self.detected_FC = split.detected_FC.to(device)
        self.truth_FC = split.truth.to(device)
        self.track = split.track
        self.bank, self.neighbours = None, None
        if bank is not None and split.neighbour_ids_NK is not None:
            assert split.neighbour_distances_NK is not None  # noqa: S101
            rows = Neighbours(split.neighbour_ids_NK, split.neighbour_distances_NK)
            self.bank = bank.to(device)
            self.neighbours = rows.of_windows(lengths_S, count_S).to(device)

    def __len__(self) -> int:
        """Number of windows."""
        return len(self.start_N)

    def order(self, generator: torch.Generator) -> Tensor:
        """Return the window numbers of an epoch, shuffled, (N,)."""
        return torch.randperm(len(self), generator=generator, device=generator.device)

    def batch(self, index_B: Tensor, generator: torch.Generator) -> Batch:
        """Gather windows by number; noise and neighbour are drawn anew every time."""
        frame_BT = self.start_N[index_B, None] + self.step_T
        truth_BTC = self.truth_FC[frame_BT]
        detected_BTC = detect(self.detected_FC[frame_BT], truth_BTC, self.track, generator)
        if self.bank is None or self.neighbours is None:
            return Batch(detected_BTC, truth_BTC, detected_BTC, detected_BTC.new_ones(len(index_B)))
        ids_B, distance_B = self.neighbours.draw(index_B, generator)
        found_BTC, distance_B = self.bank.neighbours(detected_BTC, ids_B, distance_B)
        return Batch(detected_BTC, truth_BTC, found_BTC, distance_B)


def detect(
    detected_BTC: Tensor, truth_BTC: Tensor, track: Track, generator: torch.Generator
) -> Tensor:
    """Windows as detected; on a denoise track, truth with noise drawn anew."""
    noise = track.info.noise
    return detected_BTC if noise is None else truth_BTC + draw_noise(truth_BTC, noise, generator)


def retrieves(refiner: Refiner) -> bool:
    """Say whether a refiner looks at neighbours, and at windows as long as the PVD's."""
    if not isinstance(refiner, WindowRefiner) or not refiner.uses_neighbours:
        return False
    return refiner.window == lakes.WINDOW


def load_split(
    lake: Location, track: Track, split: lakes.Split, subjects: Collection[str] | None = None
) -> TrackSplit:
    """Load a split of the lake into memory, or the sequences of some subjects of it.

    Frames go from the parts, row group by row group and several at once, straight to their place.

    Raises:
        LakeError: the track is not in the lake, or its windows do not match its sequences.
    """
    manifest = lakes.read_manifest(lake, track)
    listing = Listing.read(lake, manifest, split)
    wanted_S = listing.of_subjects(subjects)
    poses = listing.frames(wanted_S)
    ids: Tensor | None = None
    distances: Tensor | None = None
    if manifest.pvd is not None:
        found = read_neighbours(lake, manifest, split, listing, wanted_S)
        ids, distances = found.ids_NK, found.distances_NK
    rows = wanted_S.nonzero()[0].tolist()
    return TrackSplit(
        track=track,
        names=[listing.names[row] for row in rows],
        subjects=[listing.subjects[row] for row in rows],
        cameras=[listing.cameras[row] for row in rows],
        takes=[listing.takes[row] for row in rows],
        sequence_ids_S=torch.from_numpy(listing.ids_S[wanted_S]),
        offsets_S=_offsets(torch.from_numpy(listing.frames_S[wanted_S])),
        detected_FC=poses["detected"],
        truth_FC=poses.get("truth"),
        neighbour_ids_NK=ids,
        neighbour_distances_NK=distances,
    )


def read_neighbours(
    lake: Location,
    manifest: lakes.Manifest,
    split: lakes.Split,
    listing: Listing,
    wanted_S: NDArray[np.bool_],
) -> Neighbours:
    """Read the neighbours of the windows of some sequences, row by row of the windows table."""
    count_S = lake_windows(torch.from_numpy(listing.frames_S)).numpy()
    wanted_N = np.repeat(wanted_S, count_S)
    ids_NK = np.empty((int(wanted_N.sum()), lakes.NEIGHBOURS), np.int64)
    distances_NK = np.empty(ids_NK.shape, np.float32)
    seen = put = 0
    for path in lakes.part_paths(lake, manifest, "windows", split):
        for group in range(len(row_group_sizes(path))):
            table = read_part(path, ["neighbour_ids", "neighbour_distances"], group)
            some, near = lakes.neighbours(table)
            keep = wanted_N[seen : seen + len(some)]
            seen += len(some)
            if len(keep) < len(some):
                break
            here = slice(put, put + int(keep.sum()))
            ids_NK[here], distances_NK[here], put = some[keep], near[keep], here.stop
    if seen != len(wanted_N):
        raise LakeError(
            f"{manifest.track}: {split} windows and sequences do not match; "
            f"run jobs/ingest.py --track {manifest.track} --force"
        )
    return Neighbours(torch.from_numpy(ids_NK), torch.from_numpy(distances_NK))


def lake_windows(lengths_S: Tensor) -> Tensor:
    """Rows a sequence has in the lake's windows table: one at least."""
    return (lengths_S - lakes.WINDOW).clamp(min=0) + 1


def draw_noise(like: Tensor, noise: Noise, generator: torch.Generator) -> Tensor:
    """Independent noise of a denoise track, of the shape of ``like``."""
    if noise.kind == "gaussian":
        unit = torch.randn(like.shape, generator=generator, device=like.device)
    else:
        unit = torch.rand(like.shape, generator=generator, device=like.device) - 0.5
    return noise.scale * unit


def _draw_rank(ids_BK: Tensor, generator: torch.Generator) -> Tensor:
    batch, ranks = ids_BK.shape
    coin_B = torch.rand(batch, generator=generator, device=ids_BK.device)
    other_B = torch.randint(1, max(ranks, 2), (batch,), generator=generator, device=ids_BK.device)
    rank_B = torch.where(coin_B < 0.5, 0, other_B).clamp(max=ranks - 1)[:, None]
    return torch.where(ids_BK.gather(1, rank_B) >= 0, rank_B, 0)


def _offsets(length_S: Tensor) -> Tensor:
    return torch.cat([length_S.new_zeros(1), length_S.cumsum(0)])


def _ranges(first_S: Tensor, count_S: Tensor) -> Tensor:
    """Concatenate the ranges first .. first + count - 1."""
    offset_N = torch.repeat_interleave(first_S - (count_S.cumsum(0) - count_S), count_S)
    return offset_N + torch.arange(len(offset_N), device=first_S.device)
