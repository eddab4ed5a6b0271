"""Window vectors to Milvus: a new collection for every build, then one switch of the alias.

A build that was interrupted is taken up again: its collection is named after the data and the
embedding, so the rows in it are those it should have, and only the missing ones are written.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import ray
from numpy.typing import NDArray

from poise.lake.manifest import Pvd
from poise.pvd.vectors import vectors_of
from poise.runtime.errors import LakeError
from poise.runtime.retry import retry
from poise.runtime.settings import Settings
from poise_retrieval.errors import CollectionError, StoreUnavailableError
from poise_retrieval.milvus.server import EmbeddedMilvus
from poise_retrieval.milvus.store import PoseStore

log = logging.getLogger(__name__)

METRIC = "L2"
#: How long to wait for a Milvus that does not answer, where nobody says otherwise.
PATIENCE_S = 60.0


@contextmanager
def pvd_store(settings: Settings) -> Iterator[str]:
    """Yield the URI of a Milvus: the settings', else an embedded server for the block's length."""
    if settings.milvus_uri:
        yield settings.milvus_uri
        return
    with EmbeddedMilvus(settings.pvd) as server:
        yield server.uri


def build(
    vectors: ray.data.Dataset,
    uri: str,
    collection: str,
    *,
    width: int,
    rows: int,
    writers: int | None,
    patience_s: float,
    progress: Callable[[int], None],
) -> None:
    """Fill a collection and make it searchable; rows that an interrupted build wrote are kept.

    Args:
        vectors: `poise.pvd.vectors.window_vectors` of the truth.
        uri: the Milvus.
        collection: its name, which must stand for these vectors and no others.
        width: numbers of a vector.
        rows: how many there must be in the end.
        writers: tasks that write at once; None for one a CPU of the cluster. Milvus Lite gets one.
        patience_s: how long to wait for a Milvus that does not answer.
        progress: told the number of rows that are there so far.

    Raises:
        LakeError: it holds another number of rows than it was given.
        StoreUnavailableError: Milvus stayed away.
    """
    with closing(PoseStore(uri)) as store:
        tasks = _writers(retry(lambda: store.one_writer, patience_s), writers)
        there = retry(lambda: _start(store, collection, width), patience_s)
    receipts = vectors.map_batches(
        _upsert,
        batch_size=None,
        batch_format="pyarrow",
        fn_kwargs={
            "uri": uri,
            "collection": collection,
            "there": ray.put(there),
            "patience_s": patience_s,
        },
        compute=ray.data.TaskPoolStrategy(size=tasks),
    )
    done = 0
    for receipt in receipts.iter_batches(batch_size=None, batch_format="numpy"):
        for error in filter(None, receipt["error"]):
            raise StoreUnavailableError(error)
        done += int(receipt["rows"].sum())
        progress(done)
    with closing(PoseStore(uri)) as store:
        check_and_seal(store, collection, rows, patience_s)


def check_and_seal(store: PoseStore, collection: str, rows: int, patience_s: float) -> None:
    """Make a filled collection searchable; drop it where it holds another number of rows.

    Raises:
        LakeError: it does.
    """
    retry(lambda: store.seal(collection), patience_s)
    found = retry(lambda: store.count(collection), patience_s)
    if found != rows:
        retry(lambda: store.drop(collection), patience_s)
        raise LakeError(
            f"collection {collection} at {store.uri} held {found} rows, expected {rows}, and was "
            "dropped; run the ingest again, and let nothing else write to this collection"
        )


def writing_tasks(wanted: int | None) -> int:
    """Return how many tasks write at once: one a CPU of the cluster where nobody says."""
    return wanted or max(int(ray.cluster_resources().get("CPU", 1)), 1)


def _writers(lite: bool, wanted: int | None) -> int:
    if lite:
        if wanted is not None and wanted > 1:
            log.warning("Milvus Lite takes one writer; %d were asked for", wanted)
        return 1
    return writing_tasks(wanted)


def _start(store: PoseStore, collection: str, width: int) -> NDArray[np.int64]:
    """Make the collection, or find the ids of an interrupted build of it."""
    if collection in store.list():
        try:
            store.create(collection, width)
            there = store.ids(collection)
            log.info("%s: %d rows are there from an interrupted build", collection, len(there))
            return there
        except CollectionError as error:
            log.warning("%s; made anew", error)
            store.drop(collection)
    store.create(collection, width)
    return np.empty(0, np.int64)


def _upsert(
    block: pa.Table, uri: str, collection: str, there: "ray.ObjectRef[Any]", patience_s: float
) -> pa.Table:
    rows, error = block.num_rows, ""
    written: NDArray[np.int64] = ray.get(there)
    if len(written):
        block = block.filter(~np.isin(block.column("window_id").to_numpy(), written))
    if block.num_rows:
        ids = block.column("window_id").to_numpy()
        subjects: list[Any] = block.column("subject").to_pylist()
        # Made in the task, as a Milvus client cannot travel, and closed: an idle one keeps pinging.
        with closing(PoseStore(uri)) as store:
            try:
                retry(
                    lambda: store.upsert(collection, ids, vectors_of(block), subjects), patience_s
                )
            except StoreUnavailableError as reason:
                error = str(reason)
    return pa.table({"rows": [rows], "error": [error]})


def publish(uri: str, alias: str, collection: str, patience_s: float) -> None:
    """Point the alias at a collection, then drop the one it pointed at."""
    with closing(PoseStore(uri)) as store:
        before = retry(lambda: store.resolve(alias), patience_s)
        retry(lambda: store.publish(alias, collection), patience_s)
        if before is not None and before != collection:
            retry(lambda: store.drop(before), patience_s)


def next_name(
    uri: str, alias: str, fingerprint: str, patience_s: float, *, bulk: bool = False
) -> str:
    """Name a build's collection by its fingerprint; never the one that is published now.

    One filled in bulk has a name of its own: an import that ended early may go on in the server,
    so nobody may take up its work with `build`.
    """
    with closing(PoseStore(uri)) as store:
        published = retry(lambda: store.resolve(alias), patience_s)
    name = f"{alias}_{fingerprint}" + "_bulk" * bulk
    return f"{name}_again" if published == name else name


def is_published(uri: str, pvd: Pvd, patience_s: float) -> bool:
    """Say whether the alias points at this collection and all its rows are there."""
    with closing(PoseStore(uri)) as store:
        if retry(lambda: store.resolve(pvd.alias), patience_s) != pvd.collection:
            return False
        return retry(lambda: store.count(pvd.collection), patience_s) == pvd.rows
