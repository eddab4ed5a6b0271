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
from poise.pvd.vectors import RECEIPT, read_vectors, shared
from poise.runtime.errors import LakeError
from poise.runtime.ray_cluster.nodes import reaching
from poise.runtime.retry import retry
from poise_retrieval.errors import CollectionError, StoreUnavailableError
from poise_retrieval.milvus.store import PoseStore

log = logging.getLogger(__name__)


def build(
    written: ray.data.Dataset,
    collection: Collection,
    options: FillOptions,
    progress: Callable[[int], None],
) -> list[str]:
    """Fill a collection and make it searchable; rows that an interrupted build wrote are kept.

    Each part is sent by a task as soon as it is written.

    Args:
        written: `poise.pvd.vectors.write_vectors`.
        collection: what to fill.
        options: how.
        progress: callback with the number of rows that are there so far.

    Returns:
        The names of the parts, in order.

    Raises:
        LakeError: it holds another number of rows than it was given, or a part cannot be written.
        StoreUnavailableError: Milvus stayed away.
    """
    patience_s = options.patience_s
    with closing(PoseStore(collection.uri)) as store:
        tasks = _writers(retry(lambda: store.one_writer, patience_s), options.writers)
        there = retry(lambda: _start(store, collection), patience_s)
    receipts = written.map_batches(
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
        **reaching(collection.uri),
    )
    done, parts = 0, []
    for receipt in receipts.iter_rows():
        if receipt["away"]:
            raise StoreUnavailableError(receipt["away"])
        if receipt["error"]:
            raise LakeError(receipt["error"])
        parts.append(receipt["part"])
        done += receipt["rows"]
        progress(done)
    with closing(PoseStore(collection.uri)) as store:
        check_and_seal(store, collection, patience_s)
    return sorted(parts)


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
    receipts: pa.Table, uri: str, collection: str, there: "ray.ObjectRef[Any]", patience_s: float
) -> pa.Table:
    away = [""] * receipts.num_rows
    rows: list[dict[str, Any]] = receipts.to_pylist()
    for number, receipt in enumerate(rows):
        if receipt["error"]:
            continue
        try:
            _send(receipt["path"], uri, collection, shared(there), patience_s)
        except StoreUnavailableError as reason:
            away[number] = str(reason)
        except LakeError as reason:
            receipt["error"] = str(reason)
    return pa.Table.from_pylist(rows, RECEIPT).append_column("away", pa.array(away))


def _send(
    path: str, uri: str, collection: str, there: NDArray[np.int64], patience_s: float
) -> None:
    """Write the rows of a part, but for those that are there."""
    ids, vectors, subjects = read_vectors(path)
    if len(there):
        missing = np.flatnonzero(~np.isin(ids, there))
        ids, vectors, subjects = ids[missing], vectors[missing], subjects.take(missing)
    if not len(ids):
        return
    names: list[Any] = subjects.to_pylist()
    # Made in the task, as a Milvus client cannot travel, and closed: an idle one keeps pinging.
    with closing(PoseStore(uri)) as store:
        retry(lambda: store.upsert(collection, ids, vectors, names), patience_s)
