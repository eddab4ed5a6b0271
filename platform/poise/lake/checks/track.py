"""Check tracks of a lake: manifest, files, sequences, windows; one row group at a time."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from poise.catalog.splits import SPLITS, Split
from poise.catalog.tracks import Track
from poise.lake.checks.parts import tables
from poise.lake.checks.report import Report
from poise.lake.checks.sequences import SequenceCheck
from poise.lake.checks.vectors import VectorCheck
from poise.lake.checks.windows import WindowCheck
from poise.lake.manifest import (
    Exclude,
    Kind,
    Manifest,
    part_folder,
    part_paths,
    read_manifest,
    tracks_in,
)
from poise.lake.schemas import sequence_schema, vector_schema, window_schema
from poise.lake.split_index import SplitIndex
from poise.runtime import storage
from poise.runtime.errors import LakeError, PoiseError, in_short
from poise.runtime.names import normal

log = logging.getLogger(__name__)


def check_lake(lake: storage.Location, tracks: Sequence[str] = ()) -> list[Report]:
    """Check tracks of a lake, local or by URI.

    Args:
        lake: the lake.
        tracks: their names; all where none is given.

    Raises:
        LakeError: there is no lake, or it lacks a track that was asked for.
    """
    try:
        present = tracks_in(lake)
    except OSError as error:
        raise LakeError(f"{lake} cannot be listed ({in_short(error)})") from error
    if not present:
        raise LakeError(f"{lake} is no lake, or an empty one: it holds no manifest of a track")
    unknown = [track for track in tracks if track not in present]
    if unknown:
        raise LakeError(f"{lake} has no {', '.join(unknown)}; it has {', '.join(present)}")
    return [check_track(lake, name) for name in tracks or present]


def check_track(lake: storage.Location, name: str) -> Report:
    """Check one track whose manifest is in the lake."""
    report = Report(name)
    try:
        track = Track.parse(name)
        manifest = read_manifest(lake, track)
    except PoiseError as error:
        # The message says what to do.
        report.add("error", "manifest", "manifest.json", str(error), "")
        return report
    _Check(lake, track, manifest, report).run()
    return report


@dataclass(frozen=True)
class _Check:
    lake: storage.Location
    track: Track
    manifest: Manifest
    report: Report

    def run(self) -> None:
        self._manifest()
        splits = [split for split in SPLITS if split in self.manifest.splits]
        found = {split: self._sequences(split) for split in splits}
        self._spelling(found)
        self._shared(found)
        info = self.track.info
        width = info.joints * info.dims
        none = SplitIndex.of_rows(self.track, "train", [], width=width, truth=False)
        train = found.get("train", none)
        for own in found.values():
            self._windows(WindowCheck(own, train, self.rule, self.again, self.report))
        if self.manifest.pvd is not None and self.manifest.pvd.vectors_parts:
            self._vectors(VectorCheck(train, self.again, self.report), self.manifest.pvd.width)

    @property
    def rule(self) -> Exclude:
        """What a training window's neighbours must not share with it."""
        return self.manifest.pvd.exclude if self.manifest.pvd else "subject"

    @property
    def again(self) -> str:
        return f"run poise ingest --track {self.track} --force to make the track anew"

    def _manifest(self) -> None:
        manifest, info = self.manifest, self.track.info
        where = "manifest.json"
        if (manifest.joints, manifest.dims) != (info.joints, info.dims):
            problem = (
                f"{manifest.joints} joints x {manifest.dims}, the catalogue says "
                f"{info.joints} x {info.dims}"
            )
            self.report.add("error", "manifest", where, problem, self.again)
        if self.rule == "take":
            problem = "training windows have neighbours of their own subject, of other takes"
            advice = "it was ingested with --exclude take, a rule to compare with, not to train on"
            self.report.add("note", "exclude", where, problem, advice)
        for split, summary in manifest.splits.items():
            listed = sum(entry.split == split for entry in manifest.quarantined)
            if summary.read != summary.sequences + summary.quarantined:
                problem = (
                    f"{split}: {summary.read:,} read, but {summary.sequences:,} kept and "
                    f"{summary.quarantined:,} left out"
                )
                self.report.add("error", "counts", where, problem, self.again)
            if listed != summary.quarantined:
                problem = f"{split}: {summary.quarantined:,} left out, {listed:,} of them listed"
                self.report.add("error", "counts", where, problem, self.again)
            if summary.quarantined:
                problem = f"{split}: {summary.quarantined:,} of {summary.read:,} were left out"
                self.report.add(
                    "note", "quarantined", where, problem, "the manifest lists them with reasons"
                )
        self._filled(manifest)
        train = manifest.splits.get("train")
        if manifest.pvd and train and manifest.pvd.rows != train.windows:
            problem = f"a PVD of {manifest.pvd.rows:,} rows for {train.windows:,} training windows"
            self.report.add("error", "pvd", where, problem, self.again)
        if not self.report.failed:
            self.report.passed.append(f"manifest, schema version {manifest.schema_version}")

    def _filled(self, manifest: Manifest) -> None:
        for split in manifest.splits:
            entries = [one for one in manifest.filled if one.split == split]
            if not entries:
                continue
            gaps = [gap for one in entries for gap in one.gaps]
            joints = sorted({self.track.info.joint_names[gap[0]] for gap in gaps})
            more = f" and {len(joints) - 3} more" if len(joints) > 3 else ""
            problem = (
                f"joints that nobody saw in {len({one.sequence for one in entries}):,} sequences: "
                f"{', '.join(joints[:3])}{more}, {sum(gap[2] for gap in gaps):,} times"
            )
            advice = "filled; what is in truth is not scored; the manifest lists the gaps"
            names = sorted({one.sequence for one in entries})
            where = f"{split}, {', '.join(names[:3])}{', ...' * (len(names) > 3)}"
            self.report.add("warning", "missing", where, problem, advice)

    def _sequences(self, split: Split) -> SplitIndex:
        info = self.track.info
        check = SequenceCheck(self.track, split, self.report)
        schema = sequence_schema(info.joints * info.dims)
        before = len(self.report.findings)
        for path in self._parts("sequences", split):
            where = _where(path, "sequences", split)
            for table in tables(path, where, schema, self.again, self.report):
                check.check(table, where)
        found = check.finish(self.manifest)
        if len(self.report.findings) == before:
            frames, people = int(found.frames_S.sum()), len(set(found.subjects))
            self.report.passed.append(
                f"{split}: {len(found):,} sequences of {people:,} subjects, "
                f"{frames:,} frames, finite, moving, files as they were written"
            )
        return found

    def _spelling(self, found: dict[Split, SplitIndex]) -> None:
        people = {subject for index in found.values() for subject in index.subjects}
        twice = sorted(normal(one) for one in people if one != normal(one) in people)
        if twice:
            problem = f"one person under two spellings of one name: {', '.join(twice[:5])}"
            self.report.add("error", "spelling", "subjects", problem, self.again)

    def _shared(self, found: dict[Split, SplitIndex]) -> None:
        if len(found) < 2:
            return
        train, test = ({normal(one) for one in found[split].subjects} for split in SPLITS)
        both = sorted(train & test)
        if both:
            more = f" and {len(both) - 5:,} more" if len(both) > 5 else ""
            problem = f"subjects {', '.join(both[:5])}{more} are in both splits"
            advice = "test scores are then of people the training has seen: split by subject"
            self.report.add("error", "shared-subjects", "train, test", problem, advice)
        else:
            self.report.passed.append("no subject is in both splits")

    def _windows(self, check: WindowCheck) -> None:
        split, before = check.own.split, len(self.report.findings)
        schema = window_schema()
        for path in self._parts("windows", split):
            where = _where(path, "windows", split)
            for table in tables(path, where, schema, self.again, self.report):
                check.check(table, where)
        said, have = self.manifest.splits[split].windows, check.own.windows
        if not check.rows == have == said:
            problem = (
                f"{check.rows:,} windows, the manifest says {said:,}, the sequences have {have:,}"
            )
            self.report.add("error", "counts", split, problem, self.again)
        if len(self.report.findings) == before:
            rule = f", none of the window's own {self.rule}" if split == "train" else ""
            text = f"neighbours are training windows{rule}" if self.manifest.pvd else "no PVD"
            self.report.passed.append(f"{split}: {check.rows:,} windows, {text}")

    def _vectors(self, check: VectorCheck, width: int) -> None:
        before, schema = len(self.report.findings), vector_schema(width)
        for path in self._parts("vectors", "train"):
            where = _where(path, "vectors", "train")
            for table in tables(path, where, schema, self.again, self.report):
                check.check(table, where)
        if check.rows != check.train.windows:
            problem = f"{check.rows:,} vectors for {check.train.windows:,} training windows"
            self.report.add("error", "counts", "vectors", problem, self.again)
        if len(self.report.findings) == before:
            self.report.passed.append(f"{check.rows:,} vectors of the PVD, of the right windows")

    def _parts(self, kind: Kind, split: Split) -> list[str]:
        paths = part_paths(self.lake, self.manifest, kind, split)
        log.info("%s: %d %s parts of the %s split", self.track, len(paths), kind, split)
        named = {path.rsplit("/", 1)[-1] for path in paths}
        folder = part_folder(self.lake, self.track, kind, split)
        left = [name for name in storage.list_dir(folder) if name not in named]
        if left:
            problem = f"{len(left):,} files that the manifest does not name, such as {left[0]}"
            advice = "left by an interrupted or an earlier ingest; nobody reads them"
            self.report.add("note", "left-over", f"{kind}/split={split}", problem, advice)
        return paths


def _where(path: str, kind: Kind, split: Split) -> str:
    return f"{kind}/split={split}/{path.rsplit('/', 1)[-1]}"
