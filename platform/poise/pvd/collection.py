"""The collections of a PVD: one for each build, and an alias that points at the one in use."""

import logging
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial

from poise.catalog.tracks import Track
from poise.lake.manifest import Pvd, pvd_alias, read_manifest, tracks_in
from poise.runtime.errors import LakeError, TrackError
from poise.runtime.retry import retry
from poise.runtime.settings import VARIABLES, Settings
from poise.runtime.storage import Location
from poise_retrieval.errors import StoreUnavailableError
from poise_retrieval.milvus.server import EmbeddedMilvus
from poise_retrieval.milvus.store import PoseStore

log = logging.getLogger(__name__)


#: Seconds for which a Milvus that was named may stay silent at first, and for each call.
_FIRST_PATIENCE_S, _FIRST_TIMEOUT_S = 12.0, 8.0


@contextmanager
def pvd_store(settings: Settings, needed: bool = True) -> Iterator[str]:
    """Yield the URI of the Milvus in the settings, else of a server that runs inside the block.

    Args:
        settings: of the process.
        needed: whether a Milvus that does not answer is an error; else that is only said.

    Raises:
        StoreUnavailableError: the Milvus of the settings does not answer; or that of the home
            does not start.
    """
    if settings.milvus_uri:
        _look_for(settings.milvus_uri, needed)
        yield settings.milvus_uri
        return
    with EmbeddedMilvus(settings.pvd) as server:
        yield server.uri


def _look_for(uri: str, needed: bool) -> None:
    """Call a Milvus that somebody else runs, so that a wrong address is told at once."""
    try:
        with closing(PoseStore(uri, timeout_s=_FIRST_TIMEOUT_S)) as store:
            retry(store.list, _FIRST_PATIENCE_S)
    except StoreUnavailableError as error:
        variable = VARIABLES["milvus_uri"]
        message = (
            f"{error}. It is the one of --milvus-uri or ${variable}: start it, name another, or "
            f"unset ${variable}, and Poise starts one of its own in the home"
        )
        if needed:
            raise StoreUnavailableError(message) from error
        log.warning("%s", message)


def next_name(
    uri: str, alias: str, fingerprint: str, patience_s: float, *, bulk: bool = False
) -> str:
    """Return a name for a build's collection, made of its fingerprint, that is not in use.

    One filled in bulk has a name of its own: an import that ended early may go on in the server,
    so nobody may take up its work with `poise.pvd.build.build`.
    """
    with closing(PoseStore(uri)) as store:
        published = retry(lambda: store.resolve(alias), patience_s)
    name = f"{alias}_{fingerprint}" + "_bulk" * bulk
    return f"{name}_again" if published == name else name


def check_owner(uri: str, lake: Location, track: Track, patience_s: float) -> None:
    """Raise `LakeError` where what the track's alias points at is another track's of the lake.

    No two tracks have one alias. Of an earlier Poise some had, and one of those may be in use.
    """
    alias = pvd_alias(track)
    with closing(PoseStore(uri)) as store:
        published = retry(lambda: store.resolve(alias), patience_s)
    if published is None or _names(lake, str(track), published):
        return
    for other in tracks_in(lake):
        if other != str(track) and _names(lake, other, published):
            raise LakeError(
                f"{track}: its alias {alias} at {uri} is that of the PVD of {other}, which an "
                f"earlier Poise made; run poise pvd rebuild {lake} {other}, which gives that one "
                "its own, and then this command again"
            )


def publish(uri: str, alias: str, collection: str, before: Pvd | None, patience_s: float) -> None:
    """Point the alias at a collection, then drop the one it pointed at, and the track's before.

    Whatever else pointed at these, such as the alias that an earlier Poise gave the track, follows:
    readers that have asked for it find the new collection.

    Args:
        uri: the Milvus.
        alias: of the track.
        collection: the new one.
        before: what the track's manifest names so far.
        patience_s: seconds to wait for a Milvus that does not answer.
    """
    with closing(PoseStore(uri)) as store:
        there = retry(store.list, patience_s)
        old = {retry(lambda: store.resolve(alias), patience_s)}
        if before is not None:
            old.add(before.collection)
        retry(lambda: store.publish(alias, collection), patience_s)
        for name in (one for one in there if one in old and one != collection):
            for other in retry(partial(store.aliases, name), patience_s):
                retry(partial(store.publish, other, collection), patience_s)
            retry(partial(store.drop, name), patience_s)


def is_published(uri: str, pvd: Pvd, patience_s: float) -> bool:
    """Say whether the alias points at this collection and all its rows are there."""
    with closing(PoseStore(uri)) as store:
        if retry(lambda: store.resolve(pvd.alias), patience_s) != pvd.collection:
            return False
        return retry(lambda: store.count(pvd.collection), patience_s) == pvd.rows


def drop_unpublished(uri: str, alias: str, patience_s: float) -> None:
    """Drop a track's collections that are not published.

    A build would take up one of the same name and keep its rows, which may be the damaged ones.
    The name says whose they are: see `check_owner`.
    """
    ours = re.compile(rf"{re.escape(alias)}_[0-9a-f]{{10}}(_bulk)?(_again)?")
    with closing(PoseStore(uri)) as store:
        published = retry(lambda: store.resolve(alias), patience_s)
        for name in retry(store.list, patience_s):
            if ours.fullmatch(name) and name != published:
                log.info("dropping %s, which is not published", name)
                retry(partial(store.drop, name), patience_s)


def _names(lake: Location, track: str, collection: str) -> bool:
    """Say whether the manifest of a track in the lake names this collection."""
    try:
        pvd = read_manifest(lake, Track.parse(track)).pvd
    except (LakeError, TrackError):  # not there, damaged, or of a data set that is not known here
        return False
    return pvd is not None and pvd.collection == collection
