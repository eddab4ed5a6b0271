"""``poise pvd rebuild``: the PVD anew from the lake alone, while readers go on with the old one."""

import logging
import re
from contextlib import closing
from functools import partial
from pathlib import Path

from poise.catalog.tracks import Track
from poise.ingest.stages import Report, add_pvd_and_windows, why_no_pvd
from poise.lake.ids import SPLITS
from poise.lake.manifest import Manifest, pvd_alias, read_manifest, track_folder, write_manifest
from poise.lake.schemas import part_paths
from poise.pvd.build import PATIENCE_S, pvd_store
from poise.pvd.bulk import BulkFolder
from poise.runtime import storage
from poise.runtime.cluster import connect
from poise.runtime.errors import LakeError
from poise.runtime.locks import exclusive
from poise.runtime.retry import retry
from poise.runtime.settings import Settings
from poise_retrieval.milvus.store import PoseStore

log = logging.getLogger(__name__)


def rebuild(
    lake: storage.Location,
    track: Track,
    *,
    home: Path | None = None,
    milvus_uri: str | None = None,
    writers: int | None = None,
    bulk: BulkFolder | None = None,
    patience_s: float = PATIENCE_S,
    report: Report = log.info,
) -> Manifest:
    """Fill a new collection from the lake's train split, then switch the alias to it.

    The neighbours are searched again in the new rows. Parts of the windows table are named after
    their content: where it is the same as before, the table stays what it is.

    Args:
        lake: where the track is; no raw data are needed.
        track: which.
        home: where the embedded Milvus keeps its data; see `Settings`.
        milvus_uri: a Milvus to use instead of the embedded one.
        writers: tasks that write to Milvus at once; see `poise.pvd.build.build`.
        bulk: a folder that the Milvus server can read, to have it import files; None to send rows.
        patience_s: how long to wait for a Milvus that does not answer.
        report: told one line for every stage.

    Raises:
        LakeError: the lake lacks the track, or the track cannot have a PVD.
        BusyError: another process writes this track.
        ImportFailedError: Milvus could not import a file, or is one that imports none.
        StoreUnavailableError: Milvus stayed away; lake and alias are as they were.
    """
    settings = Settings.load(home=home, milvus_uri=milvus_uri)
    place = storage.absolute(lake)
    before = read_manifest(place, track)
    reason = why_no_pvd(before)
    if reason:
        raise LakeError(f"{track} cannot have a PVD: {reason}")
    with exclusive(track_folder(place, track)):
        before = read_manifest(place, track)
        report(f"{track}: its PVD anew from the lake {lake}")
        with connect(), pvd_store(settings) as uri:
            _drop_leftovers(uri, pvd_alias(track), patience_s)
            after = add_pvd_and_windows(
                *(before, place, uri, report),
                writers=writers,
                bulk=bulk,
                patience_s=patience_s,
                exclude=before.pvd.exclude if before.pvd else "subject",
            )
        write_manifest(place, after)
        changed = _drop_old_windows(place, before, after)
    same = "the windows changed with it" if changed else "the windows are the same as before"
    report(f"{track}: done, {same}")
    return after


def _drop_leftovers(uri: str, alias: str, patience_s: float) -> None:
    """Drop what nobody reads: a build would go on with its rows, which may be the damaged ones."""
    ours = re.compile(rf"{re.escape(alias)}_[0-9a-f]{{10}}(_bulk)?(_again)?")
    with closing(PoseStore(uri)) as store:
        published = retry(lambda: store.resolve(alias), patience_s)
        for name in retry(store.list, patience_s):
            if ours.fullmatch(name) and name != published:
                log.info("dropping %s, which is not published", name)
                retry(partial(store.drop, name), patience_s)


def _drop_old_windows(lake: str, before: Manifest, after: Manifest) -> bool:
    changed = False
    for split in SPLITS:
        kept = set(part_paths(lake, after, "windows", split))
        for path in part_paths(lake, before, "windows", split):
            if path not in kept:
                storage.remove(path)
                changed = True
    return changed
