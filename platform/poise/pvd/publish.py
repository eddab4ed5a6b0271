"""The PVD of a track whose sequences are in the lake, and the windows that refer to it."""

import hashlib
import time
from dataclasses import replace

from poise.catalog.splits import SPLITS
from poise.lake.ids import WINDOW
from poise.lake.manifest import Exclude, Manifest, Pvd, manifest_hash, part_folder, pvd_alias
from poise.lake.split_index import SplitIndex
from poise.pvd.build import build
from poise.pvd.bulk import build_in_bulk
from poise.pvd.collection import check_owner, next_name, publish
from poise.pvd.neighbour_search import Parts, Splits, search_windows, write_windows
from poise.pvd.node_index import Shard
from poise.pvd.options import Collection, FillOptions
from poise.pvd.progress import Report, counting, pace
from poise.pvd.vectors import write_vectors
from poise.runtime import storage
from poise_retrieval.geometry.embedding import EMBEDDING_VERSION, embedding_width

METRIC = "L2"


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
    """Write the windows of a track that gets no PVD, without neighbours, and report the reason."""
    report(f"  PVD         none: {reason}")
    splits = _splits_of(start, lake)
    clock, total = time.monotonic(), _windows(splits)
    parts = write_windows(lake, splits, counting("windows", total, report))
    report(f"  windows     {total:,}{pace(total, clock)}")
    return replace(_with_windows(start, parts), pvd=None)


def add_pvd(
    start: Manifest, lake: str, uri: str, exclude: Exclude, options: FillOptions, report: Report
) -> Manifest:
    """Build and publish the PVD from the lake's sequences, and write the windows.

    Args:
        start: a manifest whose sequences are in the lake; the PVD it names gives way to the new.
        lake: where.
        uri: the Milvus.
        exclude: what a training window's neighbours must not share with it. Subjects are what
            evaluation keeps apart; takes are a weaker rule, to compare with.
        options: how rows reach Milvus.
        report: callback with a line for every stage.

    Raises:
        LakeError: the lake cannot be read or written, Milvus holds another number of rows, or the
            track's alias there is another track's.
        ImportFailedError: Milvus could not import a file, or is one that imports none.
        StoreUnavailableError: Milvus stayed away.
    """
    check_owner(uri, lake, start.track_name, options.patience_s)
    _warn(start, exclude, report)
    train = SplitIndex.read(lake, start, "train")
    collection, vectors = _fill(start, train, lake, uri, options, report)
    folder = part_folder(lake, train.track, "vectors", "train")
    paths = [storage.join(folder, name) for name in vectors]
    shards, splits = Shard.all(train, paths, collection.width, exclude), _splits_of(start, lake)
    clock, total = time.monotonic(), _windows(splits)
    progress = counting("neighbours", total * len(shards), report)
    parts, recall = search_windows(lake, splits, shards, progress)
    many = f" in {len(shards)} shards" if len(shards) > 1 else ""
    found = f"  neighbours  of {total:,} windows{many}, recall {recall:.4f}"
    report(found + pace(total, clock))
    alias = pvd_alias(train.track)
    publish(uri, alias, collection.name, start.pvd, options.patience_s)
    pvd = Pvd(
        collection=collection.name,
        alias=alias,
        width=collection.width,
        rows=collection.rows,
        metric=METRIC,
        recall=recall,
        exclude=exclude,
        embedding=EMBEDDING_VERSION,
        vectors_parts=vectors,
    )
    return replace(_with_windows(start, parts), pvd=pvd)


def fingerprint(manifest: Manifest) -> str:
    """Return a short hash of what the rows of a PVD are made from: the sequences, the embedding."""
    splits = {name: replace(split, windows_parts=[]) for name, split in manifest.splits.items()}
    made_from = f"{manifest_hash(replace(manifest, splits=splits))} {EMBEDDING_VERSION}"
    return hashlib.sha256(made_from.encode()).hexdigest()[:10]


def _warn(start: Manifest, exclude: Exclude, report: Report) -> None:
    subjects = start.splits["train"].subjects
    if exclude == "take":
        report("  warning     neighbours may be of the window's own subject (--exclude take)")
    elif len(subjects) < 2:
        report(
            f"  warning     one training subject ({subjects[0]}): its windows get no "
            "neighbours, because a neighbour must be of another subject"
        )


def _fill(
    start: Manifest,
    train: SplitIndex,
    lake: str,
    uri: str,
    options: FillOptions,
    report: Report,
) -> tuple[Collection, list[str]]:
    """Fill a new collection with the truth of the train split; return it and its vectors' parts."""
    info, bulk, clock = train.track.info, options.bulk, time.monotonic()
    alias, patience_s = pvd_alias(train.track), options.patience_s
    name = next_name(uri, alias, fingerprint(start), patience_s, bulk=bulk is not None)
    width = embedding_width(WINDOW, info.skeleton, info.dims)
    collection = Collection(uri, name, width, train.windows)
    written = write_vectors(train, lake)
    progress = counting("PVD", collection.rows, report)
    if bulk is None:
        parts = build(written, collection, options, progress)
    else:
        parts = build_in_bulk(written, collection, bulk, options, progress)
    report(f"  PVD         {collection.rows:,} windows in {name}{pace(collection.rows, clock)}")
    return collection, parts


def _splits_of(start: Manifest, lake: str) -> Splits:
    there = [split for split in SPLITS if split in start.splits and start.splits[split].sequences]
    return {split: SplitIndex.read(lake, start, split) for split in there}


def _windows(splits: Splits) -> int:
    return sum(index.windows for index in splits.values())


def _with_windows(start: Manifest, parts: Parts) -> Manifest:
    windows = {
        str(split): replace(start.splits[split], windows_parts=names)
        for split, names in parts.items()
    }
    return replace(start, splits={**start.splits, **windows})
