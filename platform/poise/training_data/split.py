"""From the lake to tensors: a split in memory, training windows by index, clips for a refiner.

A track is loaded once into contiguous tensors and windows are gathered by number; nothing here
loops over windows in Python.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from poise.catalog.tracks import Noise, Track
from poise.lake.ids import WINDOW, Split, window_count
from poise.lake.manifest import Manifest, read_manifest
from poise.lake.parts import read_part, row_group_sizes
from poise.lake.schemas import NEIGHBOURS, neighbour_arrays, part_paths
from poise.lake.split_index import Listing
from poise.pvd.pose_bank import Neighbours, PoseBank, accompany, offsets, ranges
from poise.runtime.errors import LakeError
from poise.runtime.storage import Location
from poise_models.base.batch import Batch
from poise_models.base.clip import Clip
from poise_models.base.refiner import Refiner
from poise_models.base.window_refiner import WindowRefiner
from poise_models.base.windows import unfold


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
        frame_F = ranges(self.offsets_S[row_S], length_S)
        windows_S = window_count(self.lengths_S)
        window_N = ranges((windows_S.cumsum(0) - windows_S)[row_S], windows_S[row_S])
        ids, distances = self.neighbour_ids_NK, self.neighbour_distances_NK
        return type(self)(
            track=self.track,
            names=[self.names[row] for row in rows],
            subjects=[self.subjects[row] for row in rows],
            cameras=[self.cameras[row] for row in rows],
            takes=[self.takes[row] for row in rows],
            sequence_ids_S=self.sequence_ids_S[row_S],
            offsets_S=offsets(length_S),
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

    def clips(self, bank: "PoseBank | None", neighbours: int = 1) -> list[Clip]:
        """All sequences as a refiner wants them, each window with its nearest neighbours."""
        detected = self.detected()
        if bank is None or self.neighbour_ids_NK is None or self.neighbour_distances_NK is None:
            return [Clip(one) for one in detected]
        counts = window_count(self.lengths_S).tolist()
        ids = self.neighbour_ids_NK[:, :neighbours].split(counts)
        distances = self.neighbour_distances_NK[:, :neighbours].split(counts)
        rows = zip(detected, ids, distances, strict=True)
        return [_clip(one, bank, ids_NK, distances_NK) for one, ids_NK, distances_NK in rows]


class TrainingWindows:
    """Training windows of any length, resident on the device (a `WindowSource`)."""

    def __init__(
        self, split: TrackSplit, length: int, bank: PoseBank | None, device: str = "cpu"
    ) -> None:
        """Gather windows, where there is a bank with a neighbour each.

        Raises:
            LakeError: no sequence is long enough.
        """
        lengths_S = split.lengths_S
        count_S = (lengths_S - length + 1).clamp(min=0)
        if int(count_S.sum()) == 0:
            raise LakeError(f"{split.track}: no training sequence has {length} frames")
        self.start_N = ranges(split.offsets_S[:-1], count_S).to(device)
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
            return Batch.without_neighbours(detected_BTC, truth_BTC)
        return accompany(detected_BTC, truth_BTC, self.bank, self.neighbours, index_B, generator)


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
    return refiner.window == WINDOW


def load_split(
    lake: Location, track: Track, split: Split, subjects: Collection[str] | None = None
) -> TrackSplit:
    """Load a split of the lake into memory, or the sequences of some subjects of it.

    Frames go from the parts, row group by row group and several at once, straight to their place.

    Raises:
        LakeError: the track is not in the lake, or its windows do not match its sequences.
    """
    manifest = read_manifest(lake, track)
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
        offsets_S=offsets(torch.from_numpy(listing.frames_S[wanted_S])),
        detected_FC=poses["detected"],
        truth_FC=poses.get("truth"),
        neighbour_ids_NK=ids,
        neighbour_distances_NK=distances,
    )


def read_neighbours(
    lake: Location,
    manifest: Manifest,
    split: Split,
    listing: Listing,
    wanted_S: NDArray[np.bool_],
) -> Neighbours:
    """Read the neighbours of the windows of some sequences, row by row of the windows table."""
    count_S = window_count(listing.frames_S)
    wanted_N = np.repeat(wanted_S, count_S)
    ids_NK = np.empty((int(wanted_N.sum()), NEIGHBOURS), np.int64)
    distances_NK = np.empty(ids_NK.shape, np.float32)
    seen = put = 0
    for path in part_paths(lake, manifest, "windows", split):
        for group in range(len(row_group_sizes(path))):
            table = read_part(path, ["neighbour_ids", "neighbour_distances"], group)
            some, near = neighbour_arrays(table)
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


def draw_noise(like: Tensor, noise: Noise, generator: torch.Generator) -> Tensor:
    """Independent noise of a denoise track, of the shape of ``like``."""
    if noise.kind == "gaussian":
        unit = torch.randn(like.shape, generator=generator, device=like.device)
    else:
        unit = torch.rand(like.shape, generator=generator, device=like.device) - 0.5
    return noise.scale * unit


def _clip(detected_FC: Tensor, bank: PoseBank, ids_NK: Tensor, distances_NK: Tensor) -> Clip:
    windows_NTC = unfold(detected_FC, WINDOW)
    return Clip(detected_FC).with_neighbours(*bank.neighbours(windows_NTC, ids_NK, distances_NK))
