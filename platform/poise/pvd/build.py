"""Fill a collection in Milvus with window vectors, sent row by row.

A build that was interrupted is taken up again: its collection is named after the data and the
embedding, so the rows in it are those it should have, and only the missing ones are written.
"""

import logging
from collections.abc import Callable
from contextlib import closing
from typing import Any

import numpy as np
import pyarrow as pa
import ray
from numpy.typing import NDArray

from poise.pvd.options import Collection, FillOptions
from poise.pvd.vectors import vectors_of
from poise.runtime.errors import LakeError
from poise.runtime.retry import retry
from poise_retrieval.errors import CollectionError, StoreUnavailableError
from poise_retrieval.milvus.store import PoseStore

log = logging.getLogger(__name__)


def build(
    vectors: ray.data.Dataset,
    collection: Collection,
    options: FillOptions,
    progress: Callable[[int], None],
) -> None:
    """Fill a collection and make it searchable; rows that an interrupted build wrote are kept.

    Args:
        vectors: `poise.pvd.vectors.window_vectors` of the truth.
        collection: what to fill.
        options: how.
        progress: callback with the number of rows that are there so far.

    Raises:
        LakeError: it holds another number of rows than it was given.
        StoreUnavailableError: Milvus stayed away.
    """
    patience_s = options.patience_s
    with closing(PoseStore(collection.uri)) as store:
        tasks = _writers(retry(lambda: store.one_writer, patience_s), options.writers)
        there = retry(lambda: _start(store, collection), patience_s)
    receipts = vectors.map_batches(
        _upsert,
        batch_size=None,
        batch_format="pyarrow",
        fn_kwargs={
            "uri": collection.uri,
            "collection": collection.name,
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
    with closing(PoseStore(collection.uri)) as store:
        check_and_seal(store, collection, patience_s)


def check_and_seal(store: PoseStore, collection: Collection, patience_s: float) -> None:
    """Make a filled collection searchable; drop it where it holds another number of rows.

    Raises:
        LakeError: it does.
    """
    name = collection.name
    retry(lambda: store.seal(name), patience_s)
    found = retry(lambda: store.count(name), patience_s)
    if found != collection.rows:
        retry(lambda: store.drop(name), patience_s)
        raise LakeError(
            f"collection {name} at {store.uri} held {found} rows, expected {collection.rows}, and "
            "was dropped; run the ingest again, and let nothing else write to this collection"
        )


def writing_tasks(wanted: int | None) -> int:
    """Return how many tasks write at once: as many as wanted, else one for each CPU."""
    return wanted or max(int(ray.cluster_resources().get("CPU", 1)), 1)


def _writers(lite: bool, wanted: int | None) -> int:
    if lite:
        if wanted is not None and wanted > 1:
            log.warning("Milvus Lite takes one writer; %d were asked for", wanted)
        return 1
    return writing_tasks(wanted)


def _start(store: PoseStore, collection: Collection) -> NDArray[np.int64]:
    """Make the collection, or find the ids of an interrupted build of it."""
    name = collection.name
    if name in store.list():
        try:
            store.create(name, collection.width)
            there = store.ids(name)
            log.info("%s: %d rows are there from an interrupted build", name, len(there))
            return there
        except CollectionError as error:
            log.warning("%s; made anew", error)
            store.drop(name)
    store.create(name, collection.width)
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
