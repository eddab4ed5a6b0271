"""A split's sequences: counts, ids, subjects, and poses that are people in the right unit.

Shape letters: S sequences, F frames, E bones.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from poise.catalog.splits import Split
from poise.catalog.tracks import Track, TrackInfo
from poise.lake.checks import poses
from poise.lake.checks.report import Level, Report
from poise.lake.ids import Ints, sequence_ids
from poise.lake.manifest import Manifest
from poise.lake.poses import POSES, Pose, pose_frames
from poise.lake.split_index import INDEX_COLUMNS, SplitIndex
from poise.readers.scale import PERSON, wrong_unit

#: A skeleton tracked with markers stays within some percent; joints mixed up go far beyond.
SPREAD = 0.15
#: Six numbers further than this from two columns of a rotation are in another order.
NO_ROTATION = 0.05
#: 2D poses are normalised; their extent is about 1, that of pixels hundreds.
PIXELS = 10.0


@dataclass
class PoseMeasures:
    """Measures of one column, gathered row group by row group."""

    sizes: list[NDArray[np.float64]] = field(default_factory=list)
    spreads: list[NDArray[np.float64]] = field(default_factory=list)
    frames: list[Ints] = field(default_factory=list)

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


class SequenceCheck:
    """Checks the sequences of a split, row group by row group, and makes the split's index."""

    def __init__(self, track: Track, split: Split, report: Report) -> None:
        self.track, self.split, self.report = track, split, report
        self._rows: list[pa.Table] = []
        self._without_truth = 0
        self._measures: dict[Pose, PoseMeasures] = {pose: PoseMeasures() for pose in POSES}

    def check(self, table: pa.Table, where: str) -> None:
        """Measure one row group, report what is wrong with single sequences, remember the rest."""
        self._rows.append(table.select(INDEX_COLUMNS))
        self._without_truth += table.column("truth").null_count
        frames_S = table.column("frames").to_numpy().astype(np.int64)
        names_S = np.array(table.column("sequence").to_pylist(), dtype=object)
        group = _Group(table, frames_S, names_S, where, self.report)
        for pose in POSES:
            group.measure(pose, self._measures[pose], self.track.info)
        group.compare()

    def finish(self, manifest: Manifest) -> SplitIndex:
        """Report what shows only when all row groups have been seen; return the split's index."""
        info, truth = self.track.info, not self._without_truth
        index = SplitIndex.of_rows(
            self.track, self.split, self._rows, width=info.joints * info.dims, truth=truth
        )
        self._counts(index, manifest)
        self._ids(index, _again(self.track))
        for pose in POSES:
            self._poses(pose)
        return index

    def _counts(self, index: SplitIndex, manifest: Manifest) -> None:
        summary, again = manifest.splits[self.split], _again(self.track)
        counts = (
            ("sequences", len(index), summary.sequences),
            ("frames", int(index.frames_S.sum()), summary.frames),
        )
        for what, have, said in counts:
            if have != said:
                problem = f"{have:,} {what}, the manifest says {said:,}"
                self.report.add("error", "counts", self.split, problem, again)
        if sorted(set(index.subjects)) != sorted(summary.subjects):
            problem = "subjects are not those of the manifest"
            self.report.add("error", "counts", self.split, problem, again)
        if summary.truth and not index.truth:
            problem = f"{self._without_truth:,} sequences have no truth, the manifest says all have"
            self.report.add("error", "counts", self.split, problem, again)

    def _ids(self, index: SplitIndex, again: str) -> None:
        names, counts = np.unique(np.array(index.names, np.str_), return_counts=True)
        twice = names[counts > 1].tolist()
        if twice:
            problem = f"{_listed(twice)} {'is' if len(twice) == 1 else 'are'} there more than once"
            self.report.add("error", "duplicates", self.split, problem, again)
            return
        ids, counts = np.unique(index.ids_S, return_counts=True)
        shared = ids[counts > 1]
        if len(shared):
            problem = f"sequence ids {_listed([str(i) for i in shared])} are there more than once"
            self.report.add("error", "duplicates", self.split, problem, again)
        wanted = sequence_ids(self.track, self.split, index.names)
        rows = zip(index.names, index.ids_S.tolist(), strict=True)
        wrong = [name for name, have in rows if wanted[name] != have]
        if wrong:
            problem = f"ids that do not follow from track, split and name: {_listed(wrong)}"
            self.report.add("error", "ids", self.split, problem, again)

    def _poses(self, pose: Pose) -> None:
        measured, info = self._measures[pose], self.track.info
        if not sum(len(some) for some in measured.sizes):
            return
        where, size = f"{self.split}, {pose}", measured.size
        if info.dims == 6:
            if size > NO_ROTATION:
                problem = f"six numbers a joint that are no rotations (off by {size:.2g})"
                advice = (
                    "6D rotations are the first two columns, row by row: r00 r01 r10 r11 r20 r21"
                )
                self.report.add("error", "rotations", where, problem, advice)
        elif info.dims == 2:
            if size > PIXELS:
                problem = f"poses of {size:.0f} units across: pixels that were not normalised"
                advice = "say how in the data set's TOML file (pixels), and ingest again"
                self.report.add("error", "units", where, problem, advice)
        else:
            self._bodies(pose, measured, where)

    def _bodies(self, pose: Pose, measured: PoseMeasures, where: str) -> None:
        size = measured.size
        reading = wrong_unit(size, self.track.info.metres)
        if reading:
            problem = f"bodies reach {size:.3g} from their middle, people {PERSON} m"
            self.report.add("error", "units", where, problem, reading)
        names = poses.bones(self.track.info)
        if not names:
            return
        spread_E = measured.spread()
        worst = int(spread_E.argmax())
        middle, most = float(np.median(spread_E)), float(spread_E[worst])
        text = f"bone lengths vary by {middle:.1%} (worst {names[worst]} {most:.1%})"
        # An estimator's bones do vary; that is one of the things refiners mend.
        if pose == "truth" and most > SPREAD:
            advice = "joints in another order than the track's, or a reference of poor quality"
            self.report.add("warning", "bones", where, text, advice)
        else:
            self.report.passed.append(
                f"{where}: bodies reach {size:.2f} m from their middle, {text}"
            )


@dataclass(frozen=True)
class _Group:
    """A row group of S sequences."""

    table: pa.Table
    frames_S: Ints
    names_S: NDArray[np.object_]
    where: str
    report: Report

    def measure(self, pose: Pose, measured: PoseMeasures, info: TrackInfo) -> None:
        held_S = self._held(pose)
        wrong_S = (held_S >= 0) & ((held_S != self.frames_S) | (held_S < 1))
        problem = f"{pose} does not hold as many frames as the column frames says, or none"
        advice = "the file was changed after ingest, or by another program; ingest again"
        self._flag("error", "frames", self.names_S[wrong_S], problem, advice)
        usable_S = (held_S > 0) & ~wrong_S
        if not usable_S.any():
            return
        lengths_S, names_S = held_S[usable_S], self.names_S[usable_S]
        facts = poses.measure(self._frames(pose, usable_S), lengths_S, info)
        problem = f"{pose} holds NaN or infinite values"
        advice = "leave these sequences out or fill the gaps in the raw files, then ingest again"
        self._flag("error", "finite", names_S[facts.broken_S], problem, advice)
        problem = f"{pose} holds joints that nobody saw, (0, 0, 0) or another constant"
        advice = "these are no positions: ingest again, which fills them and marks them"
        self._flag("error", "missing", names_S[facts.unseen_S], problem, advice)
        advice = "a lost track or an empty file; leave these sequences out"
        self._flag("warning", "frozen", names_S[facts.frozen_S], f"{pose} never moves", advice)
        whole_S = ~facts.broken_S
        measured.sizes.append(facts.size_S[whole_S])
        measured.spreads.append(facts.spread_SE[whole_S])
        measured.frames.append(lengths_S[whole_S])

    def compare(self) -> None:
        lengths_S = self._held("truth")
        usable_S = (lengths_S == self._held("detected")) & (lengths_S > 0)
        if not usable_S.any():
            return
        equal_FC = self._frames("detected", usable_S) == self._frames("truth", usable_S)
        first_S = np.cumsum(lengths_S[usable_S]) - lengths_S[usable_S]
        equal_S = np.logical_and.reduceat(equal_FC.all(axis=1), first_S)
        problem = "detections and truth are the same numbers"
        advice = "there is nothing to refine: was one file copied over the other?"
        self._flag("warning", "same", self.names_S[usable_S][equal_S], problem, advice)

    def _held(self, pose: Pose) -> Ints:
        lengths: Any = pc.list_value_length(self.table.column(pose))
        return np.asarray(pc.fill_null(lengths, -1).to_numpy(), np.int64)

    def _frames(self, pose: Pose, usable_S: NDArray[np.bool_]) -> NDArray[np.float32]:
        part = self.table if usable_S.all() else self.table.filter(pa.array(usable_S))
        frames_FC = pose_frames(part, pose)
        assert frames_FC is not None  # noqa: S101  (rows without poses are not usable)
        return frames_FC

    def _flag(
        self, level: Level, check: str, bad: NDArray[np.object_], problem: str, advice: str
    ) -> None:
        if len(bad):
            self.report.add(level, check, f"{self.where}, {_listed(bad.tolist())}", problem, advice)


def _again(track: Track) -> str:
    return f"run poise ingest --track {track} --force to make the track anew"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
