"""PVD builds that are disturbed, by rows and in bulk: nothing lost, nothing twice."""

import itertools
import os
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import ray
from tests.support.running_milvus import RunningMilvus

from poise.lake.parts import write_part
from poise.lake.schemas import vector_schema
from poise.pvd.build import build
from poise.pvd.bulk import build_in_bulk
from poise.pvd.options import BulkFolder, Collection, FillOptions
from poise.pvd.vectors import RECEIPT
from poise.runtime.errors import LakeError
from poise_retrieval.errors import ImportFailedError, VectorError
from poise_retrieval.milvus.store import PoseStore

pytestmark = [pytest.mark.slow, pytest.mark.chaos, pytest.mark.usefixtures("cluster")]
BLOCKS, ROWS, WIDTH = 12, 250, 12
ALL = BLOCKS * ROWS


@pytest.fixture
def parts(tmp_path: Path) -> str:
    return str(tmp_path / "parts")


def written(parts: str, value: float | None) -> ray.data.Dataset:
    """Parts whose vectors all hold one value, or chance where it is None."""
    receipts = []
    chance = np.random.default_rng(0)
    for block in range(BLOCKS):
        numbers = chance.normal(size=ROWS * WIDTH) if value is None else [value] * ROWS * WIDTH
        flat = pa.array(numbers, pa.float32())
        columns: list[Any] = [
            pa.array(np.arange(ROWS) + block * ROWS),
            pa.array([f"S{block}"] * ROWS),
            pa.FixedSizeListArray.from_arrays(flat, WIDTH),
        ]
        schema = vector_schema(WIDTH)
        name = write_part(parts, block, schema, [pa.Table.from_arrays(columns, schema=schema)])
        receipt = {"part": name, "path": f"{parts}/{name}", "rows": ROWS, "error": ""}
        receipts.append(pa.Table.from_pylist([receipt], RECEIPT))
    return ray.data.from_arrow(receipts)


def run(
    milvus: RunningMilvus,
    name: str,
    vectors: ray.data.Dataset,
    progress: Callable[[int], None] = lambda _: None,
) -> list[str]:
    collection = Collection(milvus.uri, name, WIDTH, ALL)
    return build(vectors, collection, FillOptions(patience_s=120), progress)


def values(milvus: RunningMilvus, name: str) -> np.ndarray:
    """The first number of each row, in order of the ids, which are all there once."""
    with closing(PoseStore(milvus.uri)) as store:
        return rows_of(store, name)[1][:, 0]


def rows_of(store: PoseStore, name: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Ids, which are all there once, vectors and subjects."""
    ids, vectors, subjects = zip(*store.rows(name), strict=True)
    assert np.array_equal(np.concatenate(ids), np.arange(ALL))
    return np.concatenate(ids), np.concatenate(vectors), list(itertools.chain(*subjects))


def test_milvus_killed_while_rows_are_written(milvus: RunningMilvus, parts: str) -> None:
    threads: list[threading.Thread] = []

    def kill(done: int) -> None:
        if not threads:
            milvus.kill()
            threads.append(threading.Thread(target=milvus.start))
            threads[0].start()

    run(milvus, "killed", written(parts, 1.0), kill)
    threads[0].join()
    assert (values(milvus, "killed") == 1).all()


def test_an_interrupted_build_writes_only_what_is_missing(
    milvus: RunningMilvus, parts: str
) -> None:
    third = ALL // 3
    with closing(PoseStore(milvus.uri)) as store:
        store.create("interrupted", WIDTH)
        rows = np.ones((third, WIDTH), np.float32)
        store.upsert("interrupted", np.arange(third) * 3, rows, ["S0"] * third)
    counts: list[int] = []
    names = run(milvus, "interrupted", written(parts, 2.0), counts.append)
    assert counts[-1] == ALL
    assert names == sorted(os.listdir(parts))
    assert np.array_equal(values(milvus, "interrupted"), np.where(np.arange(ALL) % 3, 2, 1))


def test_rows_that_do_not_belong_are_said_and_go(milvus: RunningMilvus, parts: str) -> None:
    with closing(PoseStore(milvus.uri)) as store:
        store.create("strange", WIDTH)
        store.upsert("strange", np.array([-1]), np.ones((1, WIDTH), np.float32), ["S0"])
        with pytest.raises(LakeError, match=f"held {ALL + 1} rows, expected {ALL}"):
            run(milvus, "strange", written(parts, 1.0))
        assert "strange" not in store.list()


def in_bulk(
    milvus: RunningMilvus, name: str, vectors: ray.data.Dataset, bulk: BulkFolder
) -> list[int]:
    counts: list[int] = []
    collection = Collection(milvus.uri, name, WIDTH, ALL)
    options = FillOptions(writers=2, bulk=bulk, patience_s=120)
    build_in_bulk(vectors, collection, bulk, options, counts.append)
    return counts


def test_in_bulk_the_rows_are_the_same(
    milvus: RunningMilvus, tmp_path: Path, parts: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("poise.pvd.bulk.rows_of_a_file", lambda _: ALL // 3)
    vectors, folder = written(parts, None), BulkFolder(str(tmp_path / "files"))
    with closing(PoseStore(milvus.uri)) as store:
        if milvus.kind == "lite":
            with pytest.raises(ImportFailedError, match="Milvus Lite, which cannot import"):
                in_bulk(milvus, "imported", vectors, folder)
            assert "imported" not in store.list()
            return
        # What an import that was killed may have left, in Milvus and in the folder.
        store.create("imported", WIDTH + 1)
        (tmp_path / "files" / "imported").mkdir(parents=True)
        (tmp_path / "files" / "imported" / "left.parquet").touch()
        assert in_bulk(milvus, "imported", vectors, folder)[-1] == ALL
        assert os.listdir(tmp_path / "files") == []
        run(milvus, "upserted", vectors)
        ours, theirs = (rows_of(store, name) for name in ("imported", "upserted"))
        assert np.array_equal(ours[1], theirs[1])
        assert ours[2] == theirs[2]
        queries = ours[1][::10]
        hits = [
            store.search(name, queries, 3, ["S1"] * len(queries))
            for name in ("imported", "upserted")
        ]
        assert (hits[0].ids_BK == hits[1].ids_BK).mean() > 0.99


def test_a_failed_import_says_why_and_leaves_nothing(
    milvus: RunningMilvus, tmp_path: Path, parts: str
) -> None:
    if milvus.kind == "lite":
        pytest.skip("Milvus Lite imports nothing")
    files = tmp_path / "files"
    elsewhere = BulkFolder(str(files), "/not/there")
    vectors = written(parts, 1.0)
    twice = vectors.union(vectors.limit(1))
    with pytest.raises(ImportFailedError, match=r"import /not/there/failed/.*parquet.*failed: .+"):
        in_bulk(milvus, "failed", vectors, elsewhere)
    with pytest.raises(VectorError, match="id 0 comes 2 times"):
        in_bulk(milvus, "failed", twice, BulkFolder(str(files)))
    with closing(PoseStore(milvus.uri)) as store:
        assert "failed" not in store.list()
    assert os.listdir(files) == []
