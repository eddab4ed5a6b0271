"""A split of the lake in memory, whole or some sequences of it.

Shape letters: S sequences, F frames of all of them, N windows, T frames of a window, C values of a
frame, K neighbours.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from poise.catalog.splits import Split
from poise.catalog.tracks import Track
from poise.lake.ids import WINDOW, Ints
from poise.lake.manifest import read_manifest
from poise.lake.poses import POSES, read_poses
from poise.lake.split_index import SplitIndex
from poise.lake.windows import read_neighbours
from poise.pvd.pose_bank import PoseBank
from poise.readers.missing import mask, with_gaps
from poise.runtime.errors import LakeError
from poise.runtime.storage import Location
from poise.training_data.tensors import read_only
from poise_models.base.clip import Clip
from poise_models.base.refiner import Pair
from poise_models.base.windows import unfold
from poise_retrieval.neighbours import Neighbours

Gaps = Sequence[tuple[int, int, int]]


@dataclass(frozen=True, eq=False)
class TrackSplit:
    """Sequences of a split with their poses, which subsets of them share; read only.

    Between processes it travels as NumPy arrays: out of Ray's object store all processes of a node
    read one copy.

    Attributes:
        index: the sequences, S of them.
        first_S: the first frame of each.
        detected_FC: frames of the sequences, and maybe of others; (F, C) float32.
        truth_FC: the same, or None where the split has no ground truth.
        first_window_S: the first window of each sequence among the neighbours.
        neighbours: of every window, windows in sequence order; None where the track has no PVD.
        untrue: by name, gaps of the truth that were filled (`poise.lake.manifest.Filled`).
        unseen: the same of what was detected.
        space_FC: of simulated images, the truth in space, frame by frame; else None.
    """

    index: SplitIndex
    first_S: Ints
    detected_FC: Tensor
    truth_FC: Tensor | None
    first_window_S: Ints
    neighbours: Neighbours | None
    untrue: Mapping[str, Gaps] = field(default_factory=dict)
    unseen: Mapping[str, Gaps] = field(default_factory=dict)
    space_FC: Tensor | None = None

    @classmethod
    def of(
        cls,
        index: SplitIndex,
        detected_FC: Tensor,
        truth_FC: Tensor | None = None,
        neighbours: Neighbours | None = None,
    ) -> Self:
        """Make a split of sequences that lie one after the other."""
        first_S = np.cumsum(index.frames_S) - index.frames_S
        first_window_S = np.cumsum(index.windows_S) - index.windows_S
        return cls(index, first_S, detected_FC, truth_FC, first_window_S, neighbours)

    @property
    def track(self) -> Track:
        """The track that it is a split of."""
        return self.index.track

    @property
    def truth(self) -> Tensor:
        """Ground truth of `detected_FC`; raise `LakeError` where there is none."""
        if self.truth_FC is None:
            raise LakeError(f"{self.track}: this needs ground truth, and the split has none")
        return self.truth_FC

    def bank(self) -> PoseBank:
        """Return its truth windows by id; raise `LakeError` where there is no ground truth."""
        return PoseBank(self.index, self.truth, self.first_S)

    def detected(self) -> list[Tensor]:
        """Detected sequences, (F, C) each, as views."""
        return self._sequences(self.detected_FC)

    def truths(self) -> list[Tensor]:
        """Ground truth sequences, (F, C) each, as views; raise `LakeError` without ground truth."""
        return self._sequences(self.truth)

    def untrue_joints(self) -> dict[str, Tensor]:
        """By sequence, the joints (F, J) whose truth was not known, and is not scored."""
        joints = self.track.info.joints
        rows = zip(self.index.names, self.index.frames_S.tolist(), strict=True)
        return {
            name: torch.from_numpy(mask(self.untrue[name], frames, joints))
            for name, frames in rows
            if name in self.untrue
        }

    def with_gaps(self) -> Self:
        """The same with NaN again where the estimator did not see a joint, if it saw not all."""
        joints = self.track.info.joints
        rows = zip(
            self.index.names, self.first_S.tolist(), self.index.frames_S.tolist(), strict=True
        )
        wanted = [
            (self.unseen[name], at, frames) for name, at, frames in rows if name in self.unseen
        ]
        if not wanted:
            return self
        detected_FC = self.detected_FC.clone()
        for gaps, first, frames in wanted:
            own_FC = detected_FC[first : first + frames]
            own_FC.copy_(torch.from_numpy(with_gaps(own_FC.numpy(), mask(gaps, frames, joints))))
        return replace(self, detected_FC=detected_FC)

    def only(self, subjects: Collection[str]) -> Self:
        """The sequences of some subjects."""
        return self.take(np.flatnonzero(self.index.of_subjects(subjects)).tolist())

    def without(self, subjects: Collection[str]) -> Self:
        """The sequences of all other subjects."""
        return self.take(np.flatnonzero(~self.index.of_subjects(subjects)).tolist())

    def take(self, rows: Sequence[int]) -> Self:
        """Some sequences, by number; poses and neighbours are shared, not copied."""
        row_S = np.asarray(rows, np.int64)
        return replace(
            self,
            index=self.index.take(rows),
            first_S=self.first_S[row_S],
            first_window_S=self.first_window_S[row_S],
        )

    def pairs(self) -> Iterator[Pair]:
        """Yield all sequences, with their subjects; raise `LakeError` without ground truth."""
        yield from map(Pair, self.index.subjects, self.detected(), self.truths())

    def clips(self, bank: PoseBank | None, neighbours: int = 1) -> list[Clip]:
        """All sequences as a refiner wants them, each window with its nearest neighbours."""
        detected = self.detected()
        if bank is None or self.neighbours is None:
            return [Clip(one) for one in detected]
        ids_NK = read_only(self.neighbours.ids_BK)[:, :neighbours]
        distances_NK = read_only(self.neighbours.distances_BK)[:, :neighbours]
        first_S, end_S = self.first_window_S, self.first_window_S + self.index.windows_S
        rows = zip(detected, first_S.tolist(), end_S.tolist(), strict=True)
        return [
            _clip(one, bank, ids_NK[first:end], distances_NK[first:end]) for one, first, end in rows
        ]

    def _sequences(self, poses_FC: Tensor) -> list[Tensor]:
        rows = zip(self.first_S.tolist(), self.index.frames_S.tolist(), strict=True)
        return [poses_FC[first : first + frames] for first, frames in rows]

    def __getstate__(self) -> dict[str, Any]:
        """Give tensors as arrays, which pickle can leave out of its stream."""
        arrays = {name: poses.numpy() for name, poses in self._poses().items()}
        return {**self.__dict__, **arrays}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Pair arrays, which may be read-only ones."""
        self.__dict__.update(state)
        self.__dict__.update({name: read_only(poses) for name, poses in self._poses().items()})

    def _poses(self) -> dict[str, Any]:
        """Those of its poses that there are, by name."""
        names = ("detected_FC", "truth_FC", "space_FC")
        return {name: self.__dict__[name] for name in names if self.__dict__[name] is not None}


def load_split(
    lake: Location, track: Track, split: Split, subjects: Collection[str] | None = None
) -> TrackSplit:
    """Load a split of the lake into memory, or the sequences of some subjects of it.

    Frames go from the parts, row group by row group and several at once, straight to their place.
    To load it once for all processes of a node, put it into Ray's object store: what `ray.get`
    gives there are views of one copy, and so are what `TrackSplit.only`, `without`, `take` and
    `bank` return.

    Raises:
        LakeError: the track is not in the lake, or its windows do not match its sequences; or the
            lake has simulated images and not the truth in space that they show.
    """
    manifest = read_manifest(lake, track)
    index = SplitIndex.read(lake, manifest, split)
    wanted_S = index.of_subjects(subjects)
    poses = read_poses(index, POSES if index.truth else POSES[:1], wanted_S)
    whole = TrackSplit.of(
        index.take(np.flatnonzero(wanted_S).tolist()),
        torch.from_numpy(poses["detected"]),
        torch.from_numpy(poses["truth"]) if index.truth else None,
        None if manifest.pvd is None else read_neighbours(lake, manifest, index, wanted_S),
    )
    filled = [one for one in manifest.filled if one.split == split]
    return replace(
        whole,
        space_FC=_space(lake, whole, split),
        untrue={one.sequence: one.gaps for one in filled if one.pose == "truth"},
        unseen={one.sequence: one.gaps for one in filled if one.pose == "detected"},
    )


def _space(lake: Location, images: TrackSplit, split: Split) -> Tensor | None:
    """Load what simulated images of a training split show; None of others."""
    track = images.track
    if track.stored == track or split != "train":
        return None
    space = load_split(lake, track.stored, split)
    truths = dict(zip(space.index.names, space.truths(), strict=True))
    found = [truths.get(name) for name in images.index.names]
    wanted = images.index.frames_S.tolist()
    if [None if one is None else len(one) for one in found] != wanted:
        raise LakeError(
            f"{track}: the lake has other sequences of {track.stored}, which it is trained on; "
            "ingest both again"
        )
    return torch.cat([one for one in found if one is not None])


def _clip(detected_FC: Tensor, bank: PoseBank, ids_NK: Tensor, distances_NK: Tensor) -> Clip:
    windows_NTC = unfold(detected_FC, WINDOW)
    found_NKTC, distances_NK = bank.neighbours(windows_NTC, ids_NK, distances_NK)
    return Clip(detected_FC).with_neighbours(found_NKTC, distances_NK)
