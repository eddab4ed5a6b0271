"""What is shown of a track's PVD: figures of its distances, queries with their neighbours."""

import re
from dataclasses import dataclass

from poise.catalog.splits import SPLITS, Split
from poise.catalog.tracks import Track
from poise.lake.manifest import read_manifest
from poise.pvd.checks.verify import SAMPLE
from poise.pvd.show.examples import examples
from poise.pvd.show.plots import distances_plot, gallery
from poise.pvd.show.statistics import NeighbourTable, distance_to_own_truth, in_words, rank_stats
from poise.runtime.errors import LakeError
from poise.runtime.storage import Location


@dataclass(frozen=True)
class ShowOptions:
    """What to draw.

    Attributes:
        split: of the queries.
        queries: how many.
        seed: of the draw.
        action: the part of the actions' names to compare; None for the whole.
    """

    split: Split = "test"
    queries: int = 6
    seed: int = 0
    action: re.Pattern[str] | None = None


@dataclass(frozen=True)
class Shown:
    """Figures in words, and two pictures as PNG.

    Attributes:
        queries: with their neighbours; None where poses have no joints to draw.
    """

    text: str
    distances: bytes
    queries: bytes | None


def show(lake: Location, track: Track, options: ShowOptions) -> Shown:
    """Describe and draw the neighbours of a track's windows; no Milvus is needed.

    Raises:
        LakeError: the lake lacks the track or the split, or the track has no PVD.
    """
    manifest = read_manifest(lake, track)
    splits = [split for split in SPLITS if manifest.splits.get(split)]
    tables = {split: NeighbourTable.read(lake, manifest, split, options.action) for split in splits}
    if options.split not in tables:
        raise LakeError(f"{track} has no {options.split} split in {lake}")
    train, others_only = (
        tables["train"],
        manifest.pvd is not None and manifest.pvd.exclude == "subject",
    )
    stats = [
        one
        for split in splits
        for one in rank_stats(tables[split], train, others_only and split == "train")
    ]
    lines = [f"{track}: squared distance to the neighbours, quantiles", "", in_words(stats), ""]
    for split in splits:
        if manifest.splits[split].truth:
            own = distance_to_own_truth(tables[split].index, SAMPLE, options.seed)
            lines.append(
                f"{split}: a detected window's distance to its own truth: {own:.4f} (median)"
            )
    distances = distances_plot(list(tables.values()), str(track))
    if track.info.skeleton is None:
        lines.append("SMPL rotations have no joints to draw without a body model: distances only")
        return Shown("\n".join(lines), distances, None)
    drawn = examples(tables[options.split], train, options.queries, options.seed)
    if not drawn:
        raise LakeError(f"{track}: no {options.split} window has a neighbour to show")
    title = f"{track}, {options.split} windows and their nearest training poses"
    return Shown("\n".join(lines), distances, gallery(drawn, track.info.skeleton, title))
