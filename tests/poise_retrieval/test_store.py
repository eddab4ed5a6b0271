import os
import pickle
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from poise_retrieval import (
    CollectionError,
    EmbeddedMilvus,
    NeighbourIndex,
    PoseStore,
    StoreUnavailableError,
    SubjectRuleError,
    VectorError,
)
from poise_retrieval.store import Rows, quoted

WIDTH = 12


def _rows(count: int, subjects: int = 4, seed: int = 0) -> Rows:
    rng = np.random.default_rng(seed)
    ids = (np.arange(count, dtype=np.int64) << 24) + 3
    vectors = rng.standard_normal((count, WIDTH)).astype(np.float32)
    return ids, vectors, [f"S{s}" for s in rng.integers(0, subjects, count)]


@pytest.fixture
def collection(store: PoseStore) -> Iterator[str]:
    name = f"c{time.monotonic_ns()}"
    store.create(name, WIDTH)
    yield name
    if name in store.list():
        store.drop(name)


def _all(store: PoseStore, collection: str) -> Rows:
    pages = list(store.rows(collection))
    ids = np.concatenate([page[0] for page in pages])
    vectors = np.concatenate([page[1] for page in pages])
    return ids, vectors, [subject for page in pages for subject in page[2]]


def test_rows_come_back_as_written_and_writing_again_changes_nothing(
    store: PoseStore, collection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("poise_retrieval.store._PAGE", 300)
    monkeypatch.setattr("poise_retrieval.store._BATCH_BYTES", 100_000)
    ids, vectors, subjects = _rows(1000)
    shuffled = np.random.default_rng(1).permutation(1000)
    for _ in range(2):
        store.upsert(collection, ids[shuffled], vectors[shuffled], [subjects[i] for i in shuffled])
        store.seal(collection)
        assert store.count(collection) == 1000
        found = _all(store, collection)
        assert np.array_equal(found[0], ids)
        assert np.array_equal(found[1], vectors)
        assert found[2] == subjects


def test_the_last_of_equal_ids_counts(store: PoseStore, collection: str) -> None:
    vectors = np.arange(3 * WIDTH, dtype=np.float32).reshape(3, WIDTH)
    store.upsert(collection, np.array([7, 8, 7]), vectors, ["a", "b", "c"])
    store.seal(collection)
    ids, found, subjects = _all(store, collection)
    assert ids.tolist() == [7, 8]
    assert subjects == ["c", "b"]
    assert np.array_equal(found, vectors[[2, 1]])


def test_an_upsert_replaces_a_row(store: PoseStore, collection: str) -> None:
    ids, vectors, subjects = _rows(50)
    store.upsert(collection, ids, vectors, subjects)
    store.seal(collection)
    store.upsert(collection, ids[:1], vectors[:1] + 100, ["new"])
    store.seal(collection)
    assert store.count(collection) == 50
    found = store.search(collection, vectors[:1] + 100, 1)
    assert found.ids_BK[0, 0] == ids[0]
    assert found.distances_BK[0, 0] == 0


def test_search_agrees_with_the_index(store: PoseStore, collection: str) -> None:
    ids, vectors, subjects = _rows(1500)
    store.upsert(collection, ids, vectors, subjects)
    store.seal(collection)
    queries = vectors[:1450] + np.float32(0.01)
    exclude = [subject if row % 3 else None for row, subject in enumerate(subjects[:1450])]
    found = store.search(collection, queries, 3, exclude)
    exact = NeighbourIndex.build(ids, vectors, subjects).search(queries, 3, exclude)
    same = found.ids_BK == exact.ids_BK
    assert same.mean() > 0.97
    assert np.allclose(found.distances_BK[same], exact.distances_BK[same], rtol=1e-4, atol=1e-6)
    owner = dict(zip(ids.tolist(), subjects, strict=True))
    for row, subject in zip(found.ids_BK.tolist(), exclude, strict=True):
        assert all(owner[window] != subject for window in row)


def test_fewer_rows_than_wanted_are_marked(store: PoseStore, collection: str) -> None:
    ids, vectors, _ = _rows(4)
    store.upsert(collection, ids, vectors, ["a", "a", "a", "b"])
    store.seal(collection)
    found = store.search(collection, vectors[:2], 3, ["a", "b"])
    assert (found.ids_BK >= 0).sum(1).tolist() == [1, 3]
    assert np.array_equal(found.ids_BK < 0, np.isinf(found.distances_BK))


@settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(subject=st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=30))
def test_no_name_breaks_the_filter(store: PoseStore, names: str, subject: str) -> None:
    vectors = np.eye(2, WIDTH, dtype=np.float32)
    store.upsert(names, np.array([1, 2]), vectors, [subject, subject + "x"])
    store.seal(names)
    found = store.search(names, vectors, 2, [subject, subject + "x"])
    assert found.ids_BK.tolist() == [[2, -1], [1, -1]]


@pytest.fixture(scope="module")
def names(milvus: EmbeddedMilvus) -> str:
    PoseStore(milvus.uri).create("names", WIDTH)
    return "names"


def test_quoting() -> None:
    assert quoted('S"1\\') == '"S\\"1\\\\"'


def test_a_filter_that_fails_is_noticed(
    store: PoseStore, collection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids, vectors, subjects = _rows(50)
    store.upsert(collection, ids, vectors, subjects)
    store.seal(collection)
    monkeypatch.setattr("poise_retrieval.store.quoted", lambda _: '"somebody else"')
    with pytest.raises(SubjectRuleError, match=subjects[0]):
        store.search(collection, vectors[:1], 1, subjects[:1])


def _nan(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    vectors = vectors.copy()
    vectors[3, 1] = np.nan
    return vectors


def test_bad_rows_are_refused_and_nothing_is_written(store: PoseStore, collection: str) -> None:
    ids, vectors, subjects = _rows(10)
    with pytest.raises(VectorError, match="row 3 holds NaN"):
        store.upsert(collection, ids, _nan(vectors), subjects)
    with pytest.raises(VectorError, match=rf"\(rows, {WIDTH}\)"):
        store.upsert(collection, ids, vectors[:, 1:], subjects)
    with pytest.raises(VectorError, match="9 subjects for 10 rows"):
        store.upsert(collection, ids, vectors, subjects[:9])
    with pytest.raises(VectorError, match="10 integers"):
        store.upsert(collection, ids.astype(np.float64), vectors, subjects)
    with pytest.raises(VectorError, match="longer than 256 bytes"):
        store.upsert(collection, ids, vectors, ["x" * 257] * 10)
    with pytest.raises(VectorError, match="control characters"):
        store.upsert(collection, ids, vectors, ["S1\n"] * 10)
    assert store.count(collection) == 0


def test_bad_queries_are_refused(store: PoseStore, collection: str) -> None:
    ids, vectors, subjects = _rows(10)
    store.upsert(collection, ids, vectors, subjects)
    with pytest.raises(CollectionError, match="seal it before searching"):
        store.search(collection, vectors, 1)
    store.seal(collection)
    with pytest.raises(VectorError, match="row 3 holds NaN"):
        store.search(collection, _nan(vectors), 1)
    with pytest.raises(VectorError, match="got"):
        store.search(collection, vectors[:, 1:], 1)
    with pytest.raises(VectorError, match="1 subjects to exclude"):
        store.search(collection, vectors, 1, ["a"])
    with pytest.raises(VectorError, match="control characters"):
        store.search(collection, vectors, 1, ["S1\n"] * 10)


def test_create_keeps_what_fits_and_refuses_what_does_not(
    store: PoseStore, collection: str
) -> None:
    store.upsert(collection, *_rows(10))
    store.create(collection, WIDTH)
    assert store.count(collection) == 10
    with pytest.raises(CollectionError, match=f"width {WIDTH}, not 84"):
        store.create(collection, 84)
    with pytest.raises(CollectionError, match="no collection name"):
        store.create("pvd-uiprmd", 84)


def test_missing_collections_are_named(store: PoseStore) -> None:
    ids, vectors, subjects = _rows(2)
    for use in (
        lambda: store.count("nowhere"),
        lambda: store.seal("nowhere"),
        lambda: store.search("nowhere", vectors, 1),
        lambda: store.upsert("nowhere", ids, vectors, subjects),
        lambda: list(store.rows("nowhere")),
        lambda: store.publish("alias", "nowhere"),
        lambda: store.drop("nowhere"),
    ):
        with pytest.raises(CollectionError, match="nowhere"):
            use()
    assert store.resolve("alias") is None


def test_rebuild_behind_an_alias(store: PoseStore) -> None:
    ids, vectors, subjects = _rows(20)
    for name in ("build_1", "build_2"):
        store.create(name, WIDTH)
    store.upsert("build_1", ids, vectors, subjects)
    store.upsert("build_2", ids + 1, vectors, subjects)
    for build, shift in (("build_1", 0), ("build_2", 1), ("build_2", 1)):
        store.seal(build)
        store.publish("current", build)
        assert store.resolve("current") == build
        assert store.search("current", vectors[:1], 1).ids_BK[0, 0] == ids[0] + shift
    with pytest.raises(CollectionError, match="published as current"):
        store.drop("build_2")
    assert store.count("build_2") == 20
    with pytest.raises(CollectionError, match="no collection current"):
        store.drop("current")
    with pytest.raises(CollectionError, match="build_1 is a collection"):
        store.publish("build_1", "build_2")
    store.drop("build_1")
    assert "build_1" not in store.list()
    assert {"build_2"} <= set(store.list())
    assert "current" not in store.list()


def test_a_store_travels_without_its_connection(store: PoseStore, collection: str) -> None:
    store.upsert(collection, *_rows(5))
    copy: PoseStore = pickle.loads(pickle.dumps(store))  # noqa: S301
    assert copy.count(collection) == 5
    copy.close()


@pytest.mark.slow
@pytest.mark.chaos
def test_no_acknowledged_row_is_lost_when_the_server_is_killed(data_dir: Path) -> None:
    ids, vectors, subjects = _rows(3000)
    with EmbeddedMilvus(data_dir) as server:
        store = PoseStore(server.uri)
        store.create("poses", WIDTH)
        for start in range(0, 3000, 500):
            part = slice(start, start + 500)
            store.upsert("poses", ids[part], vectors[part], subjects[part])
            if start == 1000:
                store.seal("poses")
        _kill_server(server)
        with pytest.raises(StoreUnavailableError):
            store.count("poses")
    with EmbeddedMilvus(data_dir) as server:
        store = PoseStore(server.uri)
        assert store.count("poses") == 3000
        store.seal("poses")
        found = _all(store, "poses")
        assert np.array_equal(found[0], ids)
        assert np.array_equal(found[1], vectors)
        assert found[2] == subjects
        assert store.search("poses", vectors[2990:], 1).ids_BK[:, 0].tolist() == ids[2990:].tolist()


@pytest.mark.slow
@pytest.mark.chaos
def test_a_reopened_collection_is_loaded_when_asked(data_dir: Path) -> None:
    ids, vectors, subjects = _rows(100)
    with EmbeddedMilvus(data_dir) as server:
        store = PoseStore(server.uri)
        store.create("poses", WIDTH)
        store.upsert("poses", ids, vectors, subjects)
        store.seal("poses")
        store.publish("current", "poses")
    with EmbeddedMilvus(data_dir) as server:
        store = PoseStore(server.uri)
        assert store.resolve("current") == "poses"
        found = store.search("current", vectors[:3], 1, None)
        assert found.ids_BK[:, 0].tolist() == ids[:3].tolist()
        assert store.count("current") == 100


def test_nobody_at_the_address_is_said_soon() -> None:
    store = PoseStore("http://127.0.0.1:9", timeout_s=2)
    started = time.monotonic()
    with pytest.raises(StoreUnavailableError, match=r"127\.0\.0\.1:9 does not answer"):
        store.count("poses")
    assert time.monotonic() - started < 6


@pytest.mark.slow
@pytest.mark.chaos
def test_a_server_that_hangs_is_given_up(data_dir: Path) -> None:
    ids, vectors, subjects = _rows(100)
    with EmbeddedMilvus(data_dir) as server:
        store = PoseStore(server.uri, timeout_s=2)
        store.create("poses", WIDTH)
        store.upsert("poses", ids, vectors, subjects)
        store.seal("poses")
        process = _server_process(server)
        process.suspend()
        try:
            for use in (
                lambda: store.search("poses", vectors[:1], 1),
                lambda: store.upsert("poses", ids, vectors, subjects),
                lambda: next(store.rows("poses")),
                lambda: PoseStore(server.uri, timeout_s=2).count("poses"),
            ):
                started = time.monotonic()
                with pytest.raises(StoreUnavailableError):
                    use()
                assert time.monotonic() - started < 8
        finally:
            process.resume()
        assert store.count("poses") == 100


def _server_process(server: EmbeddedMilvus) -> psutil.Process:
    port = int(server.uri.rsplit(":", 1)[1])
    for child in psutil.Process().children():
        if any(c.laddr.port == port for c in child.net_connections() if c.status == "LISTEN"):
            return child
    raise AssertionError(f"nobody listens on {port}")


def _kill_server(server: EmbeddedMilvus) -> None:
    process = _server_process(server)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
