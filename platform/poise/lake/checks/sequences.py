"""A split's sequences: counts, ids, subjects, and poses that are people in the right unit.

Shape letters: S sequences, F frames, E bones.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from poise.catalog.tracks import Track, TrackInfo
from poise.lake.checks import poses
from poise.lake.checks.report import Level, Report
from poise.lake.ids import Split, sequence_ids
from poise.lake.manifest import Manifest
from poise.lake.schemas import pose_frames

Column = Literal["detected", "truth"]
#: A skeleton tracked with markers stays within some percent; joints mixed up go far beyond.
SPREAD = 0.15
#: Six numbers further than this from two columns of a rotation are in another order.
NO_ROTATION = 0.05
#: 2D poses are normalised; their extent is about 1, that of pixels hundreds.
PIXELS = 10.0


@dataclass
class Poses:
    """Measures of one column, gathered row group by row group."""

    sizes: list[NDArray[np.float64]] = field(default_factory=list)
    spreads: list[NDArray[np.float64]] = field(default_factory=list)
    frames: list[NDArray[np.int64]] = field(default_factory=list)

    @property
    def size(self) -> float:
        """Median over sequences."""
        return float(np.median(np.concatenate(self.sizes)))

    def spread(self) -> NDArray[np.float64]:
        """Mean over sequences of each bone's coefficient of variation, by frames: (E,)."""
        moving_S = np.concatenate(self.frames)
        weight_S = np.where(moving_S > 1, moving_S, 0)
        spread_SE = np.concatenate(self.spreads)
        return np.asarray(weight_S @ spread_SE / max(int(weight_S.sum()), 1))


@dataclass
class Sequences:
    """The sequences of a split, without their poses: what windows and other splits refer to."""

    ids: list[NDArray[np.int64]] = field(default_factory=list)
    frames: list[NDArray[np.int64]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    subjects: list[str] = field(default_factory=list)
    takes: list[str] = field(default_factory=list)
    without_truth: int = 0
    detected: Poses = field(default_factory=Poses)
    truth: Poses = field(default_factory=Poses)

    @property
    def ids_S(self) -> NDArray[np.int64]:
        """Ids in lake order."""
        return np.concatenate(self.ids) if self.ids else np.zeros(0, np.int64)

    @property
    def frames_S(self) -> NDArray[np.int64]:
        """Frames in lake order."""
        return np.concatenate(self.frames) if self.frames else np.zeros(0, np.int64)

    def poses(self, column: Column) -> Poses:
        """Measures of a column."""
        return self.detected if column == "detected" else self.truth


def take_in(table: pa.Table, where: str, found: Sequences, info: TrackInfo, report: Report) -> None:
    """Measure one row group, report what is wrong with single sequences, remember the rest."""
    names = [str(name) for name in table.column("sequence").to_pylist()]
    frames_S = table.column("frames").to_numpy().astype(np.int64)
    found.ids.append(table.column("sequence_id").to_numpy())
    found.frames.append(frames_S)
    found.names += names
    found.subjects += [str(subject) for subject in table.column("subject").to_pylist()]
    takes = table.column("take").to_pylist()
    found.takes += [take or name for take, name in zip(takes, names, strict=True)]
    found.without_truth += table.column("truth").null_count
    group = _Group(table, frames_S, np.array(names, dtype=object), where, report)
    for column in ("detected", "truth"):
        group.measure(column, found.poses(column), info)
    group.compare()


@dataclass(frozen=True)
class _Group:
    """A row group of S sequences."""

    table: pa.Table
    frames_S: NDArray[np.int64]
    names_S: NDArray[np.object_]
    where: str
    report: Report

    def measure(self, column: Column, measured: Poses, info: TrackInfo) -> None:
        held_S = self._held(column)
        wrong_S = (held_S >= 0) & ((held_S != self.frames_S) | (held_S < 1))
        self._flag(
            "error", "frames", self.names_S[wrong_S],
            f"{column} does not hold as many frames as the column frames says, or none",
            "the file was changed after ingest, or by another program; ingest again",
        )  # fmt: skip
        usable_S = (held_S > 0) & ~wrong_S
        if not usable_S.any():
            return
        lengths_S, names_S = held_S[usable_S], self.names_S[usable_S]
        facts = poses.measure(self._frames(column, usable_S), lengths_S, info)
        self._flag(
            "error", "finite", names_S[facts.broken_S],
            f"{column} holds NaN or infinite values",
            "leave these sequences out or fill the gaps in the raw files, then ingest again",
        )  # fmt: skip
        self._flag(
            "warning", "frozen", names_S[facts.frozen_S],
            f"{column} never moves",
            "a lost track or an empty file; leave these sequences out",
        )  # fmt: skip
        sound_S = ~facts.broken_S
        measured.sizes.append(facts.size_S[sound_S])
        measured.spreads.append(facts.spread_SE[sound_S])
        measured.frames.append(lengths_S[sound_S])

    def compare(self) -> None:
        lengths_S = self._held("truth")
        usable_S = (lengths_S == self._held("detected")) & (lengths_S > 0)
        if not usable_S.any():
            return
        equal_FC = self._frames("detected", usable_S) == self._frames("truth", usable_S)
        first_S = np.cumsum(lengths_S[usable_S]) - lengths_S[usable_S]
        equal_S = np.logical_and.reduceat(equal_FC.all(axis=1), first_S)
        self._flag(
            "warning", "same", self.names_S[usable_S][equal_S],
            "detections and truth are the same numbers",
            "there is nothing to refine: was one file copied over the other?",
        )  # fmt: skip

    def _held(self, column: Column) -> NDArray[np.int64]:
        lengths: Any = pc.list_value_length(self.table.column(column))
        return np.asarray(pc.fill_null(lengths, -1).to_numpy(), np.int64)

    def _frames(self, column: Column, usable_S: NDArray[np.bool_]) -> NDArray[np.float32]:
        part = self.table if usable_S.all() else self.table.filter(pa.array(usable_S))
        frames_FC = pose_frames(part, column)
        assert frames_FC is not None  # noqa: S101  (rows without poses are not usable)
        return frames_FC

    def _flag(
        self, level: Level, check: str, bad: NDArray[np.object_], problem: str, advice: str
    ) -> None:
        if len(bad):
            self.report.add(level, check, f"{self.where}, {_listed(bad.tolist())}", problem, advice)


def check_split(
    found: Sequences, track: Track, split: Split, manifest: Manifest, report: Report
) -> None:
    """Report what shows only when a split's row groups have all been seen."""
    summary = manifest.splits[split]
    again = f"run jobs/ingest.py --track {track} --force to make the track anew"
    counts = (
        ("sequences", len(found.names), summary.sequences),
        ("frames", int(found.frames_S.sum()), summary.frames),
    )
    for what, have, said in counts:
        if have != said:
            problem = f"{have:,} {what}, the manifest says {said:,}"
            report.add("error", "counts", split, problem, again)
    if sorted(set(found.subjects)) != sorted(summary.subjects):
        report.add("error", "counts", split, "subjects are not those of the manifest", again)
    if summary.truth and found.without_truth:
        problem = f"{found.without_truth:,} sequences have no truth, the manifest says all have"
        report.add("error", "counts", split, problem, again)
    _check_ids(found, track, split, again, report)
    for column in ("detected", "truth"):
        _check_poses(found.poses(column), column, split, track.info, report)


def _check_ids(found: Sequences, track: Track, split: Split, again: str, report: Report) -> None:
    names, counts = np.unique(np.array(found.names, dtype=object).astype(str), return_counts=True)
    twice = names[counts > 1].tolist()
    if twice:
        problem = f"{_listed(twice)} {'is' if len(twice) == 1 else 'are'} there more than once"
        report.add("error", "duplicates", split, problem, again)
    ids, counts = np.unique(found.ids_S, return_counts=True)
    shared = ids[counts > 1]
    if len(shared) and not twice:
        problem = f"sequence ids {_listed([str(i) for i in shared])} are there more than once"
        report.add("error", "duplicates", split, problem, again)
    wanted = sequence_ids(track, split, found.names)
    wrong = [
        name
        for name, have in zip(found.names, found.ids_S.tolist(), strict=True)
        if wanted[name] != have
    ]
    if wrong and not twice:
        problem = f"ids that do not follow from track, split and name: {_listed(wrong)}"
        report.add("error", "ids", split, problem, again)


def _check_poses(
    measured: Poses, column: Column, split: str, info: TrackInfo, report: Report
) -> None:
    if not measured.sizes or not sum(len(some) for some in measured.sizes):
        return
    where, size = f"{split}, {column}", measured.size
    if info.dims == 6:
        if size > NO_ROTATION:
            problem = f"six numbers a joint that are no rotations (off by {size:.2g})"
            advice = "6D rotations are the first two columns, row by row: r00 r01 r10 r11 r20 r21"
            report.add("error", "rotations", where, problem, advice)
        return
    if info.dims == 2:
        if size > PIXELS:
            problem = f"poses of {size:.0f} units across: pixels that were not normalised"
            advice = "say how in the data set's TOML file (pixels), and ingest again"
            report.add("error", "units", where, problem, advice)
        return
    reading = poses.wrong_unit(size)
    if reading:
        problem = f"bodies reach {size:.3g} from their middle, people {poses.PERSON} m"
        report.add("error", "units", where, problem, f"likely {reading}")
    names = poses.bones(info)
    if not names:
        return
    spread_E = measured.spread()
    worst = int(spread_E.argmax())
    middle, most = float(np.median(spread_E)), float(spread_E[worst])
    text = f"bone lengths vary by {middle:.1%} (worst {names[worst]} {most:.1%})"
    # An estimator's bones do vary; that is one of the things refiners mend.
    if column == "truth" and most > SPREAD:
        advice = "joints in another order than the track's, or a reference of poor quality"
        report.add("warning", "bones", where, text, advice)
    else:
        report.sound.append(f"{where}: bodies reach {size:.2f} m from their middle, {text}")


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
