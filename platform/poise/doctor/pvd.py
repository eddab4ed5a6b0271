"""The Pose Vector Database: does Milvus answer, and has it what the lake's manifests say?"""

import socket
from collections.abc import Iterator
from contextlib import closing, suppress
from urllib.parse import urlsplit

from poise.catalog.tracks import Track
from poise.doctor.finding import Finding
from poise.doctor.s3 import answers
from poise.lake.manifest import Pvd, read_manifest, tracks_in
from poise.runtime import storage
from poise.runtime.errors import PoiseError, in_short
from poise.runtime.ray_cluster.checks import speaks_grpc
from poise.runtime.settings import VARIABLES, Settings
from poise_retrieval.errors import CollectionError, RetrievalError
from poise_retrieval.milvus.connection import Connection
from poise_retrieval.milvus.packing import VECTOR

_CALL_S, _PORT = 2.5, 19530


def check(settings: Settings) -> Iterator[Finding]:
    """Compare the Milvus of the settings with the lake; nothing is loaded or started."""
    if settings.milvus_uri is None:
        yield _embedded(settings)
        return
    with closing(Connection(settings.milvus_uri, _CALL_S)) as milvus:
        try:
            _see_that_it_talks(settings.milvus_uri)
            version = milvus.call("get_server_version")
        except (RetrievalError, OSError, ValueError) as error:
            yield Finding(
                "milvus.answers",
                "failed",
                f"{settings.milvus_uri}: {in_short(error).partition(': check that')[0]}",
                f"start it, mend --milvus-uri or ${VARIABLES['milvus_uri']}, or unset it: Poise "
                "starts one of its own then; services answer without neighbours meanwhile",
            )
            return
        yield Finding("milvus.answers", "ok", f"{settings.milvus_uri}: Milvus {version}")
        try:
            yield from _compared(settings, milvus)
        except RetrievalError as error:
            yield Finding("milvus.collections", "failed", str(error))


def _see_that_it_talks(uri: str) -> None:
    """Raise `OSError` where nobody answers: Milvus's client would try for longer than we have."""
    parts = urlsplit(uri)
    host, port = parts.hostname or "", parts.port or _PORT
    socket.create_connection((host, port), _CALL_S).close()
    if parts.scheme != "https" and not speaks_grpc(host, port, _CALL_S):
        raise OSError("whoever listens there is no Milvus, or it hangs")


def _embedded(settings: Settings) -> Finding:
    pvds = _pvds(settings)
    if not pvds:
        return Finding("milvus", "skipped", "no --milvus-uri, and no track with a PVD in the lake")
    if not (settings.pvd / "rows").is_dir():
        track = next(iter(pvds))
        return Finding(
            "milvus.collections",
            "failed",
            f"the lake names the PVD of {track}, but {settings.pvd} holds no rows",
            f"name the Milvus that has it (--milvus-uri), or poise pvd rebuild {track}",
        )
    return Finding(
        "milvus",
        "skipped",
        f"embedded, of {settings.pvd}: commands start it; poise pvd verify TRACK looks into it",
    )


def _pvds(settings: Settings) -> dict[str, Pvd]:
    """Return what manifests say of PVDs; what cannot be read is told by `poise.doctor.lake`."""
    found: dict[str, Pvd] = {}
    if not answers(settings.lake):
        return found
    with suppress(PoiseError, OSError):
        for name in tracks_in(settings.lake) if storage.exists(settings.lake) else []:
            with suppress(PoiseError, OSError):  # the PVDs of the other tracks are looked at
                pvd = read_manifest(settings.lake, Track.parse(name)).pvd
                if pvd is not None:
                    found[name] = pvd
    return found


def _compared(settings: Settings, milvus: Connection) -> Iterator[Finding]:
    pvds = _pvds(settings)
    wrong = {name: said for name, pvd in pvds.items() if (said := _difference(milvus, pvd))}
    for name, said in wrong.items():
        yield Finding(
            "milvus.collections",
            "failed",
            f"{name}: {said}",
            f"poise pvd verify {name} says more, poise pvd rebuild {name} makes it again",
        )
    if not wrong:
        rows = sum(pvd.rows for pvd in pvds.values())
        said = f"{len(pvds)} collections, {rows:,} rows, indexed" if pvds else "no track has a PVD"
        yield Finding("milvus.collections", "ok" if pvds else "skipped", said)


def _difference(milvus: Connection, pvd: Pvd) -> str:
    """Say what differs from the manifest; empty where nothing does."""
    try:
        target = milvus.call("describe_alias", pvd.alias)["collection_name"]
    except CollectionError:
        return f"there is no alias {pvd.alias}, by which it is read"
    if target != pvd.collection:
        return f"the alias {pvd.alias} points at {target}, the lake means {pvd.collection}"
    rows = int(milvus.call("get_collection_stats", pvd.collection)["row_count"])
    if rows != pvd.rows:
        return f"{pvd.collection} has {rows:,} rows, the lake says {pvd.rows:,}"
    if VECTOR not in milvus.call("list_indexes", pvd.collection):
        return f"{pvd.collection} has no index"
    return ""
