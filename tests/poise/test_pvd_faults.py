"""A PVD build whose Milvus is killed or that was interrupted: nothing lost, nothing twice."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import ray
from tests.runningmilvus import KINDS, RunningMilvus
from tests.serving import small_ray

from poise.errors import LakeError
from poise.pvd import build
from poise_retrieval.store import PoseStore

pytestmark = [pytest.mark.slow, pytest.mark.chaos]
BLOCKS, ROWS, WIDTH = 12, 250, 12
ALL = BLOCKS * ROWS


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    with small_ray():
        yield


@pytest.fixture(scope="module", params=KINDS)
def milvus(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, cluster: None
) -> Iterator[RunningMilvus]:
    server = RunningMilvus(request.param, tmp_path_factory.mktemp(request.param))
    yield server
    server.stop()


def blocks(value: float) -> ray.data.Dataset:
    """Rows whose vectors all hold one value."""
    tables = []
    for block in range(BLOCKS):
        flat = pa.array(np.full(ROWS * WIDTH, value, np.float32))
        columns: dict[str, Any] = {
            "window_id": pa.array(np.arange(ROWS) + block * ROWS),
            "subject": pa.array([f"S{block}"] * ROWS),
            "vector": pa.FixedSizeListArray.from_arrays(flat, WIDTH),
        }
        tables.append(pa.table(columns))
    return ray.data.from_arrow(tables)


def run(milvus: RunningMilvus, name: str, value: float, progress: Callable[[int], None]) -> None:
    build(
        blocks(value),
        milvus.uri,
        name,
        width=WIDTH,
        rows=ALL,
        writers=None,
        patience_s=120,
        progress=progress,
    )


def values(milvus: RunningMilvus, name: str) -> np.ndarray:
    """The first number of each row, in order of the ids, which are all there once."""
    with closing(PoseStore(milvus.uri)) as store:
        pages = list(store.rows(name))
    assert np.array_equal(np.concatenate([page[0] for page in pages]), np.arange(ALL))
    return np.concatenate([page[1][:, 0] for page in pages])


def test_milvus_killed_while_rows_are_written(milvus: RunningMilvus) -> None:
    threads: list[threading.Thread] = []

    def kill(done: int) -> None:
        if not threads:
            milvus.kill()
            threads.append(threading.Thread(target=milvus.start))
            threads[0].start()

    run(milvus, "killed", 1.0, kill)
    threads[0].join()
    assert (values(milvus, "killed") == 1).all()


def test_an_interrupted_build_writes_only_what_is_missing(milvus: RunningMilvus) -> None:
    third = ALL // 3
    with closing(PoseStore(milvus.uri)) as store:
        store.create("interrupted", WIDTH)
        rows = np.ones((third, WIDTH), np.float32)
        store.upsert("interrupted", np.arange(third) * 3, rows, ["S0"] * third)
    counts: list[int] = []
    run(milvus, "interrupted", 2.0, counts.append)
    assert counts[-1] == ALL
    assert np.array_equal(values(milvus, "interrupted"), np.where(np.arange(ALL) % 3, 2, 1))


def test_rows_that_do_not_belong_are_said_and_go(milvus: RunningMilvus) -> None:
    with closing(PoseStore(milvus.uri)) as store:
        store.create("strange", WIDTH)
        store.upsert("strange", np.array([-1]), np.ones((1, WIDTH), np.float32), ["S0"])
        with pytest.raises(LakeError, match=f"held {ALL + 1} rows, expected {ALL}"):
            run(milvus, "strange", 1.0, lambda _: None)
        assert "strange" not in store.list()
