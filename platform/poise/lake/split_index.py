"""The sequences of a split without their poses, and where in the lake's parts the poses are."""

from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from poise.lake.ids import Split
from poise.lake.manifest import Manifest
from poise.lake.parts import read_part, row_group_sizes
from poise.lake.schemas import part_paths, pose_frames
from poise.runtime.cluster import available_cpus
from poise.runtime.errors import LakeError
from poise.runtime.storage import Location

Pose = Literal["detected", "truth"]
POSES: tuple[Pose, ...] = ("detected", "truth")
_COLUMNS = ["sequence_id", "sequence", "subject", "camera", "take", "frames"]


@dataclass(frozen=True)
class Group:
    """A row group of a part: sequences ``rows`` of the split."""

    path: str
    number: int
    rows: slice


@dataclass(frozen=True)
class Listing:
    """All sequences of a split, S of them in lake order.

    Attributes:
        truth: whether every one has ground truth.
        groups: where their poses are.
    """

    track: str
    split: str
    width: int
    truth: bool
    names: list[str]
    subjects: list[str]
    cameras: list[str | None]
    takes: list[str | None]
    ids_S: NDArray[np.int64]
    frames_S: NDArray[np.int64]
    groups: list[Group]

    @classmethod
    def read(cls, lake: Location, manifest: Manifest, split: Split) -> Self:
        """Read all but the poses; raise `LakeError` where the split has no sequences."""
        paths = part_paths(lake, manifest, "sequences", split)
        tables = [read_part(path, _COLUMNS) for path in paths]
        sizes = [(path, row_group_sizes(path)) for path in paths]
        if not sum(len(table) for table in tables):
            raise LakeError(f"{manifest.track}: the lake has no {split} sequences")
        texts: dict[str, Any] = {
            name: [value for table in tables for value in table.column(name).to_pylist()]
            for name in ("sequence", "subject", "camera", "take")
        }
        ids_S, frames_S = (
            np.concatenate([table.column(name).to_numpy() for table in tables]).astype(np.int64)
            for name in ("sequence_id", "frames")
        )
        return cls(
            track=manifest.track,
            split=split,
            width=manifest.joints * manifest.dims,
            truth=manifest.splits[split].truth,
            names=texts["sequence"],
            subjects=texts["subject"],
            cameras=texts["camera"],
            takes=texts["take"],
            ids_S=ids_S,
            frames_S=frames_S,
            groups=list(_groups(sizes)),
        )

    def of_subjects(self, subjects: Collection[str] | None) -> NDArray[np.bool_]:
        """Say which sequences are of the subjects (all of them where None), (S,)."""
        return np.array([subjects is None or one in subjects for one in self.subjects])

    @property
    def poses(self) -> tuple[Pose, ...]:
        """What there is: detections, and truth where every sequence has it."""
        return POSES if self.truth else POSES[:1]

    def frames(
        self, wanted_S: NDArray[np.bool_], poses: Sequence[Pose] | None = None
    ) -> dict[Pose, Tensor]:
        """Read the poses of some sequences, one after the other: (F, C) float32 each."""
        poses = poses or self.poses
        total = int(self.frames_S[wanted_S].sum())
        found = {pose: torch.empty((total, self.width)) for pose in poses}
        ends_S = np.cumsum(np.where(wanted_S, self.frames_S, 0))
        starts_S = ends_S - np.where(wanted_S, self.frames_S, 0)

        def fill(group: Group) -> None:
            if not wanted_S[group.rows].any():
                return
            at = slice(int(starts_S[group.rows.start]), int(ends_S[group.rows.stop - 1]))
            for pose, frames_FC in self.read_group(group, wanted_S, poses).items():
                found[pose].numpy()[at] = frames_FC

        with ThreadPoolExecutor(min(available_cpus(), 8)) as threads:
            for _ in threads.map(fill, self.groups):
                pass
        return found

    def read_group(
        self, group: Group, wanted_S: NDArray[np.bool_], poses: Sequence[Pose] | None = None
    ) -> dict[Pose, NDArray[np.float32]]:
        """Read the poses of a row group's wanted sequences, (F, C) each."""
        poses = poses or self.poses
        table = read_part(group.path, list(poses), group.number)
        keep_F = np.repeat(wanted_S[group.rows], self.frames_S[group.rows])
        found: dict[Pose, NDArray[np.float32]] = {}
        for pose in poses:
            frames_FC = pose_frames(table, pose)
            if frames_FC is None or len(frames_FC) != len(keep_F):
                raise LakeError(
                    f"{group.path}: {pose} of {self.track} does not fit its frames; "
                    f"run jobs/ingest.py --track {self.track} --force"
                )
            found[pose] = frames_FC if keep_F.all() else frames_FC[keep_F]
        return found


def _groups(sizes: list[tuple[str, list[int]]]) -> Iterator[Group]:
    at = 0
    for path, rows in sizes:
        for number, count in enumerate(rows):
            yield Group(path, number, slice(at, at + count))
            at += count
