"""The stages of an ingest: sequences first, then the PVD, then the windows that refer to it."""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib import metadata
from pathlib import Path

import pyarrow as pa

from poise.catalog.tracks import Track
from poise.ingest.split_writer import Intake, take_in
from poise.lake.ids import SPLITS, WINDOW, Split
from poise.lake.manifest import (
    SCHEMA_VERSION,
    Exclude,
    Manifest,
    Pvd,
    Source,
    SplitSummary,
    manifest_hash,
    pvd_alias,
)
from poise.lake.schemas import part_paths
from poise.pvd.build import METRIC, PATIENCE_S, build, next_name, publish
from poise.pvd.bulk import BulkFolder, build_in_bulk
from poise.pvd.neighbour_table import Found, Takes, Windows, load_index, search, write_windows
from poise.pvd.vectors import window_vectors
from poise.runtime.errors import DataError
from poise_retrieval.geometry.embedding import EMBEDDING_VERSION, embedding_width
from poise_retrieval.index.neighbour_index import NeighbourIndex

Report = Callable[[str], None]

#: Seconds between two lines of one stage.
_EVERY_S = 5.0


def draft(
    data: Path | None,
    track: Track,
    lake: str,
    splits: Sequence[Split],
    sources: list[Source],
    report: Report,
) -> Manifest:
    """Write the sequences; return a manifest that has neither PVD nor windows yet.

    Raises:
        DataError: a raw file cannot be used at all, or not one of its sequences.
    """
    size = sum(source.size for source in sources) / 1e6
    report(f"{track}: reading {len(sources)} source{'s' * (len(sources) != 1)}, {size:.1f} MB")
    clock = time.monotonic()
    intakes = take_in(data, track, lake, splits)
    frames, sequences = (sum(getattr(i, name) for i in intakes) for name in ("frames", "sequences"))
    left_out = [item for intake in intakes for item in intake.quarantined]
    for item in left_out:
        report(f"  quarantined {item.file}, sequence {item.sequence}, {item.key}: {item.reason}")
    if not sequences:
        raise DataError(f"{track}: none of its {len(left_out)} sequences can be used; see above")
    report(f"  sequences   {sequences:,}, {frames:,} frames{_pace(frames, clock)}")
    info = track.info
    return Manifest(
        schema_version=SCHEMA_VERSION,
        poise_version=_version(),
        track=str(track),
        representation=track.representation,
        joints=info.joints,
        dims=info.dims,
        window=WINDOW,
        fps=info.fps,
        splits={intake.split: _summary(intake) for intake in intakes},
        sources=sources,
        quarantined=left_out,
        pvd=None,
    )


def why_no_pvd(manifest: Manifest) -> str | None:
    """Say why a track cannot have a PVD; None where it can."""
    track = manifest.track_name
    train = manifest.splits.get("train")
    if track.representation != "smpl" and track.info.skeleton is None:
        return "its joint order has no map to the 14-joint template"
    if train is None or not train.sequences:
        return "it has no training split"
    if not train.truth:
        return "its training split has no ground truth"
    return None


def add_windows(start: Manifest, lake: str, reason: str, report: Report) -> Manifest:
    """Write the windows of a track that gets no PVD, for the reason given."""
    report(f"  PVD         none: {reason}")
    return _with_windows(start, lake, None, None, report)


def add_pvd_and_windows(
    start: Manifest,
    lake: str,
    uri: str,
    report: Report,
    *,
    writers: int | None = None,
    bulk: BulkFolder | None = None,
    patience_s: float = PATIENCE_S,
    exclude: Exclude = "subject",
) -> Manifest:
    """Build and publish the PVD from the lake's sequences, and write the windows.

    Args:
        start: a manifest whose sequences are in the lake.
        lake: where.
        uri: the Milvus.
        report: told one line for every stage.
        writers: tasks that write to Milvus at once; see `poise.pvd.build.build`.
        bulk: the folder by which rows reach the server as files; None to send them.
        patience_s: how long to wait for a Milvus that does not answer.
        exclude: what a training window's neighbours must not share with it. Subjects are what
            evaluation keeps apart; takes are a weaker rule, to compare with.
    """
    track, train = start.track_name, start.splits["train"]
    if exclude == "take":
        report("  warning     neighbours may be of the window's own subject (--exclude take)")
    elif len(train.subjects) < 2:
        report(
            f"  warning     one training subject ({train.subjects[0]}): its windows get no "
            "neighbours, because a neighbour must be of another subject"
        )
    alias = pvd_alias(track)
    collection = next_name(uri, alias, fingerprint(start), patience_s, bulk=bulk is not None)
    width = embedding_width(WINDOW, track.info.skeleton, track.info.dims)
    clock = time.monotonic()
    paths = part_paths(lake, start, "sequences", "train")
    fill = build if bulk is None else partial(build_in_bulk, bulk=bulk)
    fill(
        window_vectors(paths, "truth", track),
        uri,
        collection,
        width=width,
        rows=train.windows,
        writers=writers,
        patience_s=patience_s,
        progress=_counting("PVD", train.windows, report),
    )
    report(f"  PVD         {train.windows:,} windows in {collection}{_pace(train.windows, clock)}")
    clock = time.monotonic()
    takes = Takes.of(paths) if exclude == "take" else None
    index = load_index(uri, collection, patience_s, takes)
    recall = index.recall
    pace = _pace(train.windows, clock)
    report(f"  index       {train.windows:,} rows, recall {recall:.4f}{pace}")
    pvd = Pvd(
        *(collection, alias, width, train.windows, METRIC, recall, exclude), EMBEDDING_VERSION
    )
    done = _with_windows(start, lake, _Search(index, takes), pvd, report)
    publish(uri, alias, collection, patience_s)
    return done


@dataclass(frozen=True)
class _Search:
    index: NeighbourIndex
    takes: Takes | None

    def excluded(self, table: pa.Table) -> list[str]:
        """Name what the neighbours of each row must not be of."""
        if self.takes is not None:
            return self.takes(table.column("window_id").to_numpy())
        return [str(subject) for subject in table.column("subject").to_pylist()]


def _with_windows(
    start: Manifest, lake: str, searched: _Search | None, pvd: Pvd | None, report: Report
) -> Manifest:
    track = start.track_name
    splits: dict[str, SplitSummary] = {}
    for split in SPLITS:
        summary = start.splits.get(split)
        if summary is None or not summary.sequences:
            continue
        paths = part_paths(lake, start, "sequences", split)
        windows = Windows.of(paths)
        found: Found | None = None
        clock = time.monotonic()
        if searched is not None:
            found = search(
                searched.index,
                window_vectors(paths, "detected", track),
                len(windows),
                excluded=searched.excluded if split == "train" else None,
                progress=_counting(f"{split} neighbours", len(windows), report),
            )
        names = write_windows(lake, track, split, windows, found)
        report(f"  {split:<11} {len(windows):,} windows{_pace(len(windows), clock)}")
        splits[split] = replace(summary, windows_parts=names)
    return replace(start, splits={**start.splits, **splits}, pvd=pvd)


def fingerprint(manifest: Manifest) -> str:
    """Return a short hash of what the rows of a PVD are made from: the sequences, the embedding."""
    splits = {name: replace(split, windows_parts=[]) for name, split in manifest.splits.items()}
    made_from = f"{manifest_hash(replace(manifest, splits=splits))} {EMBEDDING_VERSION}"
    return hashlib.sha256(made_from.encode()).hexdigest()[:10]


def _summary(intake: Intake) -> SplitSummary:
    return SplitSummary(
        read=intake.read,
        sequences=intake.sequences,
        quarantined=len(intake.quarantined),
        frames=intake.frames,
        windows=intake.windows,
        truth=intake.truth,
        subjects=intake.subjects,
        sequences_parts=intake.parts,
        windows_parts=[],
    )


def _counting(what: str, total: int, report: Report) -> Callable[[int], None]:
    began = last = time.monotonic()

    def tell(done: int) -> None:
        nonlocal last
        now = time.monotonic()
        if done < total and now - last >= _EVERY_S:
            last = now
            report(f"  {what}: {done:,} of {total:,}, {done / (now - began):,.0f} a second")

    return tell


def _pace(rows: int, clock: float) -> str:
    seconds = time.monotonic() - clock
    return f" in {seconds:.1f} s ({rows / max(seconds, 1e-3):,.0f} a second)"


def _version() -> str:
    try:
        return metadata.version("poise")
    except metadata.PackageNotFoundError:
        return "checkout"
