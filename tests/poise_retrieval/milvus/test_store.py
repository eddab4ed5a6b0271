import pickle
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pymilvus import DataType, MilvusClient
from tests.support.running_milvus import RunningMilvus

from poise_retrieval.errors import (
    CollectionError,
    StoreUnavailableError,
    SubjectRuleError,
    VectorError,
)
from poise_retrieval.index.neighbour_index import NeighbourIndex
from poise_retrieval.milvus.packing import subject_key
from poise_retrieval.milvus.store import PoseStore, Rows

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


@pytest.fixture(scope="module")
def sealed(milvus: RunningMilvus) -> str:
    """A collection of 1,500 rows that is only read."""
    store = PoseStore(milvus.uri)
    store.create("sealed", WIDTH)
    store.upsert("sealed", *_rows(1500))
    store.seal("sealed")
    store.close()
    return "sealed"


def _all(store: PoseStore, collection: str) -> Rows:
    pages = list(store.rows(collection))
    ids = np.concatenate([page[0] for page in pages])
    vectors = np.concatenate([page[1] for page in pages])
    return ids, vectors, [subject for page in pages for subject in page[2]]


def test_rows_come_back_as_written_and_writing_again_changes_nothing(
    store: PoseStore, collection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("poise_retrieval.milvus.store._PAGE", 300)
    monkeypatch.setattr("poise_retrieval.milvus.packing._MESSAGE_BYTES", 100_000)
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


def test_search_is_exact_at_this_size(store: PoseStore, sealed: str) -> None:
    ids, vectors, subjects = _rows(1500)
    queries = vectors[:1450] + np.float32(0.01)
    exclude = [subject if row % 3 else None for row, subject in enumerate(subjects[:1450])]
    found = store.search(sealed, queries, 3, exclude)
    exact = NeighbourIndex.build(ids, vectors, subjects).search(queries, 3, exclude)
    assert (found.ids_BK == exact.ids_BK).mean() > 0.999
    assert np.allclose(found.distances_BK, exact.distances_BK, rtol=1e-3, atol=1e-5)
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
    deadline=None,
    max_examples=1,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    names=st.lists(
        st.text(st.characters(codec="utf-8"), max_size=30),
        min_size=20,
        max_size=20,
        unique=True,
    )
)
def test_no_name_breaks_the_filter(store: PoseStore, names: list[str]) -> None:
    vectors = np.arange(20 * WIDTH, dtype=np.float32).reshape(20, WIDTH)
    store.create("names", WIDTH)
    store.upsert("names", np.arange(20), vectors, names)
    store.seal("names")
    found = store.search("names", vectors, 20, names)
    for row, ids in enumerate(found.ids_BK.tolist()):
        assert sorted(ids) == [-1, *(other for other in range(20) if other != row)]


def test_a_subject_has_the_same_number_for_ever() -> None:
    assert subject_key("S1") == 8_070_706_106_767_315_477
    keys = {subject_key(f"S{number}") for number in range(10_000)}
    assert len(keys) == 10_000
    assert all(0 <= key < 2**63 for key in keys)


def test_a_filter_that_fails_is_noticed(
    store: PoseStore, sealed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, vectors, subjects = _rows(1500)
    monkeypatch.setattr("poise_retrieval.milvus.store.subject_key", lambda _: 12345)
    with pytest.raises(SubjectRuleError, match=subjects[0]):
        store.search(sealed, vectors[:1], 1, subjects[:1])


def test_deleted_rows_are_gone_at_once(store: PoseStore, collection: str) -> None:
    ids, vectors, subjects = _rows(60)
    store.upsert(collection, ids, vectors, subjects)
    store.seal(collection)
    store.delete(collection, np.append(ids[:10], 12345))
    assert store.count(collection) == 50
    found = store.search(collection, vectors[:10], 60)
    assert sorted(found.ids_BK[0][found.ids_BK[0] >= 0].tolist()) == ids[10:].tolist()
    store.upsert(collection, ids[:1], vectors[:1], subjects[:1])
    assert np.array_equal(store.ids(collection), np.append(ids[:1], ids[10:]))
    with pytest.raises(VectorError, match="2 integers"):
        store.delete(collection, np.array([0.5, 1.5]))


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
    assert len(store.ids(collection)) == 0


def test_bad_queries_are_refused(store: PoseStore, sealed: str, collection: str) -> None:
    _, vectors, _ = _rows(10)
    with pytest.raises(VectorError, match="row 3 holds NaN"):
        store.search(sealed, _nan(vectors), 1)
    with pytest.raises(VectorError, match="got"):
        store.search(sealed, vectors[:, 1:], 1)
    with pytest.raises(VectorError, match="1 subjects to exclude"):
        store.search(sealed, vectors, 1, ["a"])
    store.upsert(collection, *_rows(10))
    with pytest.raises(CollectionError, match="seal it before searching"):
        store.search(collection, vectors, 1)
    with pytest.raises(CollectionError, match="is not sealed"):
        PoseStore(store.uri).search(collection, vectors, 1)


def test_create_keeps_what_fits_and_refuses_what_does_not(
    store: PoseStore, collection: str
) -> None:
    store.upsert(collection, *_rows(10))
    store.create(collection, WIDTH)
    assert len(store.ids(collection)) == 10
    with pytest.raises(CollectionError, match=f"width {WIDTH}, not 84"):
        store.create(collection, 84)
    with pytest.raises(CollectionError, match="no collection name"):
        store.create("pvd-uiprmd", 84)


def test_a_collection_of_another_form_says_rebuild(milvus: RunningMilvus, store: PoseStore) -> None:
    other = MilvusClient(milvus.uri, dedicated=True)
    fields = other.create_schema(auto_id=False)
    fields.add_field("window_id", DataType.VARCHAR, is_primary=True, max_length=64)
    fields.add_field("vector", DataType.FLOAT_VECTOR, dim=WIDTH)
    other.create_collection("older", schema=fields)
    other.close()
    _, vectors, _ = _rows(1)
    for use in (
        lambda: store.create("older", WIDTH),
        lambda: store.upsert("older", *_rows(1)),
        lambda: store.search("older", vectors, 1),
    ):
        with pytest.raises(CollectionError, match=r"window_id \(VARCHAR\).*subject.*rebuild it"):
            use()
    store.drop("older")


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
    for build in ("build_1", "build_2"):
        store.seal(build)
    for build, shift in (("build_1", 0), ("build_2", 1), ("build_2", 1)):
        store.publish("current", build)
        assert store.resolve("current") == build
        assert store.search("current", vectors[:1], 1).ids_BK[0, 0] == ids[0] + shift
    with pytest.raises(CollectionError, match="published as current"):
        store.drop("build_2")
    with pytest.raises(CollectionError, match="no collection current"):
        store.drop("current")
    with pytest.raises(CollectionError, match="build_1 is a collection"):
        store.publish("build_1", "build_2")
    store.drop("build_1")
    assert "build_1" not in store.list()
    assert {"build_2"} <= set(store.list())
    assert "current" not in store.list()


def test_a_store_travels_without_its_connection(store: PoseStore, sealed: str) -> None:
    assert store.count(sealed) == 1500
    copy: PoseStore = pickle.loads(pickle.dumps(store))  # noqa: S301
    assert copy.count(sealed) == 1500
    copy.close()


def test_several_clients_at_once(milvus: RunningMilvus, sealed: str, collection: str) -> None:
    ids, vectors, subjects = _rows(2000)

    def write(part: slice) -> None:
        with closing(PoseStore(milvus.uri)) as store:
            store.upsert(collection, ids[part], vectors[part], subjects[part])

    def read(row: int) -> int:
        with closing(PoseStore(milvus.uri)) as store:
            return int(store.search(sealed, vectors[row : row + 1], 1).ids_BK[0, 0])

    parts = [slice(start, start + 250) for start in range(0, 2000, 250)]
    with ThreadPoolExecutor(milvus.writers) as writers, ThreadPoolExecutor(3) as readers:
        written = writers.map(write, parts)
        assert list(readers.map(read, range(12))) == ids[:12].tolist()
        assert len(list(written)) == len(parts)
    with closing(PoseStore(milvus.uri)) as store:
        assert store.one_writer == (milvus.kind == "lite")
        assert np.array_equal(store.ids(collection), ids)


def test_nobody_at_the_address_is_said_soon() -> None:
    store = PoseStore("http://127.0.0.1:9", timeout_s=2)
    started = time.monotonic()
    with pytest.raises(StoreUnavailableError, match=r"127\.0\.0\.1:9 does not answer") as caught:
        store.count("poses")
    assert time.monotonic() - started < 6
    assert "Exception" not in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "reason"),
    [("http://[::1:19530", "IPv6"), ("http://127.0.0.1:x", "Port"), ("nonsense", "http")],
)
def test_an_address_that_cannot_be_read_says_why(uri: str, reason: str) -> None:
    with pytest.raises(StoreUnavailableError, match=f"connect: .*{reason}"):
        PoseStore(uri, timeout_s=2).list()


@pytest.mark.parametrize("variable", ["http_proxy", "https_proxy", "grpc_proxy"])
@pytest.mark.parametrize("without", [None, "lab.org", "*"])
def test_a_server_on_this_machine_is_never_asked_through_a_proxy(
    milvus: RunningMilvus, variable: str, without: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "http://127.0.0.1:9")
    if without is not None:
        monkeypatch.setenv("no_proxy", without)
    with closing(PoseStore(milvus.uri, timeout_s=5)) as store:
        store.list()


@pytest.mark.chaos
def test_a_server_that_hangs_is_given_up(milvus: RunningMilvus, sealed: str) -> None:
    ids, vectors, subjects = _rows(10)
    store = PoseStore(milvus.uri, timeout_s=2)
    assert store.count(sealed) == 1500
    process = milvus.process
    process.suspend()
    try:
        for use in (
            lambda: store.search(sealed, vectors, 1),
            lambda: store.upsert(sealed, ids, vectors, subjects),
            lambda: PoseStore(milvus.uri, timeout_s=2).count(sealed),
        ):
            started = time.monotonic()
            with pytest.raises(StoreUnavailableError):
                use()
            assert time.monotonic() - started < 8
    finally:
        process.resume()


@pytest.mark.slow
@pytest.mark.chaos
def test_a_killed_server_returns_with_every_acknowledged_row(
    milvus: RunningMilvus, store: PoseStore, sealed: str, collection: str
) -> None:
    ids, vectors, subjects = _rows(3000)
    store.publish("before", sealed)
    for start in range(0, 3000, 500):
        part = slice(start, start + 500)
        store.upsert(collection, ids[part], vectors[part], subjects[part])
    milvus.kill()
    with pytest.raises(StoreUnavailableError):
        store.count(sealed)
    milvus.start()
    # Loaded again when first asked for.
    assert store.resolve("before") == sealed
    assert store.count("before") == 1500
    assert np.array_equal(store.ids(collection), ids)
    store.seal(collection)
    found = _all(store, collection)
    assert np.array_equal(found[0], ids)
    assert np.array_equal(found[1], vectors)
    assert found[2] == subjects
    found_ids = store.search(collection, vectors[2990:], 1).ids_BK[:, 0]
    assert found_ids.tolist() == ids[2990:].tolist()
