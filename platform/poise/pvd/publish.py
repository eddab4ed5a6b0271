"""The PVD of a track whose sequences are in the lake, and the windows that refer to it."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import replace

from poise.catalog.splits import SPLITS
from poise.lake.ids import WINDOW
from poise.lake.manifest import Exclude, Manifest, Pvd, manifest_hash, pvd_alias
from poise.lake.split_index import SplitIndex
from poise.lake.windows import write_windows
from poise.pvd.build import build
from poise.pvd.bulk import build_in_bulk
from poise.pvd.collection import check_owner, next_name, publish
from poise.pvd.neighbour_search import find_neighbours, load_index
from poise.pvd.options import Collection, FillOptions
from poise.pvd.progress import Report, counting, pace
from poise.pvd.vectors import window_vectors
from poise_retrieval.geometry.embedding import EMBEDDING_VERSION, embedding_width
from poise_retrieval.neighbours import Neighbours

METRIC = "L2"

_Search = Callable[[SplitIndex], Neighbours]


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
    return replace(_with_windows(start, lake, None, report), pvd=None)


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
    collection = _fill(start, train, uri, options, report)
    clock = time.monotonic()
    takes = train if exclude == "take" else None
    index = load_index(uri, collection.name, options.patience_s, takes)
    lines = f"  index       {train.windows:,} rows, recall {index.recall:.4f}"
    report(lines + pace(train.windows, clock))

    def search(own: SplitIndex) -> Neighbours:
        apart = exclude if own.split == "train" else None
        progress = counting(f"{own.split} neighbours", own.windows, report)
        return find_neighbours(index, own, apart, progress)

    done = _with_windows(start, lake, search, report)
    alias = pvd_alias(train.track)
    publish(uri, alias, collection.name, start.pvd, options.patience_s)
    pvd = Pvd(
        collection=collection.name,
        alias=alias,
        width=collection.width,
        rows=collection.rows,
        metric=METRIC,
        recall=index.recall,
        exclude=exclude,
        embedding=EMBEDDING_VERSION,
    )
    return replace(done, pvd=pvd)


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
    start: Manifest, train: SplitIndex, uri: str, options: FillOptions, report: Report
) -> Collection:
    """Fill a new collection with the truth of the train split."""
    info, bulk, clock = train.track.info, options.bulk, time.monotonic()
    alias, patience_s = pvd_alias(train.track), options.patience_s
    name = next_name(uri, alias, fingerprint(start), patience_s, bulk=bulk is not None)
    width = embedding_width(WINDOW, info.skeleton, info.dims)
    collection = Collection(uri, name, width, train.windows)
    vectors = window_vectors(train, "truth")
    progress = counting("PVD", collection.rows, report)
    if bulk is None:
        build(vectors, collection, options, progress)
    else:
        build_in_bulk(vectors, collection, bulk, options, progress)
    report(f"  PVD         {collection.rows:,} windows in {name}{pace(collection.rows, clock)}")
    return collection


def _with_windows(start: Manifest, lake: str, search: _Search | None, report: Report) -> Manifest:
    """Write the windows of all splits, with the neighbours that a search finds."""
    splits = dict(start.splits)
    for split in SPLITS:
        if split not in splits or not splits[split].sequences:
            continue
        own, clock = SplitIndex.read(lake, start, split), time.monotonic()
        parts = write_windows(lake, own, None if search is None else search(own))
        report(f"  {split:<11} {own.windows:,} windows{pace(own.windows, clock)}")
        splits[split] = replace(splits[split], windows_parts=parts)
    return replace(start, splits=splits)
