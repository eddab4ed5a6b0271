"""Make a PVD anew from the lake alone, while readers use the old one (``poise pvd rebuild``)."""

import logging
from itertools import product

from poise.catalog.splits import SPLITS
from poise.catalog.tracks import Track
from poise.lake.manifest import (
    Kind,
    Manifest,
    part_paths,
    pvd_alias,
    read_manifest,
    track_folder,
    write_manifest,
)
from poise.pvd.collection import check_owner, drop_unpublished, pvd_store
from poise.pvd.options import DEFAULT_FILL, FillOptions
from poise.pvd.progress import Report
from poise.pvd.publish import add_pvd, why_no_pvd
from poise.runtime import storage
from poise.runtime.errors import LakeError
from poise.runtime.locks import exclusive
from poise.runtime.ray_cluster.join import connect
from poise.runtime.ray_cluster.nodes import see_that_nodes_share
from poise.runtime.settings import Settings

log = logging.getLogger(__name__)


def rebuild(
    track: Track,
    settings: Settings,
    options: FillOptions = DEFAULT_FILL,
    report: Report = log.info,
) -> Manifest:
    """Fill a new collection from the lake's train split, then switch the alias to it.

    The neighbours are searched again in the new rows. Parts of the windows table are named after
    their content: where it is the same as before, the table stays what it is.

    Args:
        track: which.
        settings: where the lake and the Milvus are; no raw data are needed.
        options: how rows reach Milvus.
        report: callback with a line for every stage.

    Raises:
        LakeError: the lake lacks the track, or the track cannot have a PVD.
        BusyError: another process writes this track.
        ImportFailedError: Milvus could not import a file, or is one that imports none.
        StoreUnavailableError: Milvus stayed away; lake and alias are as they were.
    """
    lake = settings.lake
    reason = why_no_pvd(read_manifest(lake, track))
    if reason:
        raise LakeError(f"{track} cannot have a PVD: {reason}")
    with exclusive(track_folder(lake, track)):
        before = read_manifest(lake, track)
        report(f"{track}: its PVD anew from the lake {lake}")
        with connect(), pvd_store(settings) as uri:
            see_that_nodes_share({"LAKE": lake})
            check_owner(uri, lake, track, options.patience_s)
            drop_unpublished(uri, pvd_alias(track), options.patience_s)
            exclude = before.pvd.exclude if before.pvd else "subject"
            after = add_pvd(before, lake, uri, exclude, options, report)
        write_manifest(lake, after)
        changed = _drop_old_parts(lake, before, after)
    same = "the windows changed with it" if changed else "the windows are the same as before"
    report(f"{track}: done, {same}")
    return after


def _drop_old_parts(lake: str, before: Manifest, after: Manifest) -> bool:
    """Remove what the new manifest does not name; say whether windows are among it."""
    changed = False
    kinds: tuple[Kind, ...] = ("windows", "vectors")
    for kind, split in product(kinds, SPLITS):
        kept = set(part_paths(lake, after, kind, split))
        for path in part_paths(lake, before, kind, split):
            if path not in kept:
                storage.remove(path)
                changed |= kind == "windows"
    return changed
