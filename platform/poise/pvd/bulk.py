"""Fill a collection in bulk: Ray writes files, which Milvus reads itself, past its write log."""

import logging
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import ray
from numpy.typing import NDArray

from poise.lake.parts import read_part
from poise.pvd.build import check_and_seal, writing_tasks
from poise.pvd.options import BulkFolder, Collection, FillOptions
from poise.pvd.vectors import vectors_of
from poise.runtime import storage
from poise.runtime.errors import LakeError
from poise.runtime.places import cannot_write
from poise.runtime.retry import retry
from poise_retrieval.errors import ImportFailedError, StoreUnavailableError
from poise_retrieval.milvus.bulk import BulkImport, check_once, import_table, rows_of_a_file
from poise_retrieval.milvus.store import PoseStore

log = logging.getLogger(__name__)

_LOOK_S = 0.5


def build_in_bulk(
    written: ray.data.Dataset,
    collection: Collection,
    bulk: BulkFolder,
    options: FillOptions,
    progress: Callable[[int], None],
) -> list[str]:
    """Fill a new collection as `poise.pvd.build.build` does, by files that the server imports.

    An import that ended early is not taken up again: Milvus would keep rows twice. What it left is
    dropped, by itself or by the next one.

    Args:
        written: `poise.pvd.vectors.write_vectors`.
        collection: what to fill, in a full-size Milvus; no other way of filling may use its name.
        bulk: where the files lie until they are imported; emptied again whatever happens.
        options: how.
        progress: callback with the number of rows that Milvus has read so far.

    Returns:
        The names of the parts, in order.

    Raises:
        ImportFailedError: this is a Milvus Lite, or the server could not import a file.
        LakeError: the files cannot be written, or Milvus held another number of rows.
        VectorError: an id comes twice.
        StoreUnavailableError: Milvus stayed away.
    """
    name, patience_s = collection.name, options.patience_s
    folder, tasks = storage.join(bulk.folder, name), writing_tasks(options.writers)
    with closing(PoseStore(collection.uri)) as store, _new(store, collection, patience_s):
        parts = written.materialize()
        with _emptied(folder), closing(BulkImport(collection.uri, name)) as imports:
            ids = []
            for file, ids_B in _files(parts, folder, collection.width, tasks):
                imports.start(bulk.to_server(name, file))
                ids.append(ids_B)
                retry(imports.look, patience_s)
                progress(imports.rows)
            check_once(np.concatenate([np.empty(0, np.int64), *ids]))
            while not imports.done:
                time.sleep(_LOOK_S)
                retry(imports.look, patience_s)
                progress(imports.rows)
        check_and_seal(store, collection, patience_s)
    return sorted(receipt["part"] for receipt in parts.iter_rows())


@contextmanager
def _new(store: PoseStore, collection: Collection, patience_s: float) -> Iterator[None]:
    """Make the collection; drop it where the block fails."""
    name = collection.name
    if retry(lambda: store.one_writer, patience_s):
        raise ImportFailedError(
            f"{store.uri} is a Milvus Lite, which cannot import files: fill the collection without "
            "bulk import, or use a full-size Milvus"
        )
    if name in retry(store.list, patience_s):
        log.warning("%s: left by a bulk import that ended early; made anew", name)
        retry(lambda: store.drop(name), patience_s)
    retry(lambda: store.create(name, collection.width), patience_s)
    try:
        yield
    except BaseException:
        try:
            if name in store.list():  # `check_and_seal` may have dropped it
                store.drop(name)
        except StoreUnavailableError as error:
            log.warning("%s is left half full, for the next bulk import: %s", name, error)
        raise


@contextmanager
def _emptied(folder: str) -> Iterator[None]:
    """Empty a folder of our own before and after the block."""
    try:
        _remove_folder(folder)
        yield
    finally:
        _remove_folder(folder)


def _remove_folder(folder: str) -> None:
    try:
        storage.remove_folder(folder)
    except OSError as error:
        raise LakeError(cannot_write(folder, error)) from error


def _files(
    parts: ray.data.Dataset, folder: str, width: int, tasks: int
) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Write the rows; yield the name of each file when it is there, with the ids in it."""
    for receipt in parts.iter_rows():
        if receipt["error"]:
            raise LakeError(receipt["error"])
    receipts = parts.map_batches(_read, batch_size=1, batch_format="numpy").map_batches(
        _write,
        batch_size=rows_of_a_file(width),
        batch_format="pyarrow",
        fn_kwargs={"folder": folder},
        compute=ray.data.TaskPoolStrategy(size=tasks),
    )
    for receipt in receipts.iter_rows():
        if receipt["error"]:
            raise LakeError(receipt["error"])
        yield receipt["file"], np.frombuffer(receipt["ids"], np.int64)


def _read(batch: dict[str, NDArray[Any]]) -> Iterator[pa.Table]:
    for path in batch["path"].tolist():
        yield read_part(path)


def _write(rows: pa.Table, folder: str) -> pa.Table:
    ids = rows.column("window_id").to_numpy()
    subjects: list[Any] = rows.column("subject").to_pylist()
    table = import_table(ids, vectors_of(rows), subjects)
    # A task that Ray runs again writes another file; only the one it tells of is imported.
    file, error = f"{uuid.uuid4().hex}.parquet", ""
    filesystem, path = storage.resolve(folder)
    try:
        filesystem.create_dir(path, recursive=True)
        options: dict[str, Any] = {"compression": "none", "use_dictionary": ["subject"]}
        pq.write_table(table, f"{path}/{file}", filesystem=filesystem, **options)
    except OSError as reason:
        error = cannot_write(folder, reason)
    return pa.table({"file": [file], "ids": [ids.tobytes()], "error": [error]})
