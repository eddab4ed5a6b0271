from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.support.running_milvus import RunningMilvus

from poise_retrieval.errors import SubjectRuleError, VectorError
from poise_retrieval.index.neighbour_index import RECALL, NeighbourIndex
from poise_retrieval.milvus.store import PoseStore
from poise_retrieval.neighbours import Neighbours

#: Of rows that the index did not tune itself on, as it did to reach `RECALL`.
FRESH_RECALL = RECALL - 0.01

Rows = tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.str_]]


def _rows(count: int, width: int = 84, subjects: int = 5, seed: int = 0) -> Rows:
    """Pose-like rows: few degrees of freedom, an offset per subject."""
    rng = np.random.default_rng(seed)
    who = rng.integers(0, subjects, count)
    latent = rng.standard_normal((count, 6)) @ rng.standard_normal((6, width))
    vectors = 0.1 * latent + 0.1 * rng.standard_normal((subjects, width))[who]
    vectors += 0.005 * rng.standard_normal((count, width))
    ids = rng.permutation(count).astype(np.int64) * (1 << 24) + 5
    return ids, vectors.astype(np.float32), np.array([f"S{s}" for s in who])


def _brute_force(
    rows: Rows, queries: NDArray[np.float32], k: int, exclude: list[str | None]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    ids, vectors, subjects = rows
    answer_ids = np.full((len(queries), k), -1, np.int64)
    answer_distances = np.full((len(queries), k), np.inf, np.float32)
    for row, (query, subject) in enumerate(zip(queries, exclude, strict=True)):
        distances = np.square(vectors - query).sum(-1, dtype=np.float32)
        allowed = np.ones(len(ids), bool) if subject is None else subjects != subject
        order = np.lexsort((ids[allowed], distances[allowed]))[:k]
        answer_ids[row, : len(order)] = ids[allowed][order]
        answer_distances[row, : len(order)] = distances[allowed][order]
    return answer_ids, answer_distances


def _recall(index: NeighbourIndex, rows: Rows) -> float:
    """Share of the exact 3 nearest that rows find among those of other subjects."""
    some = np.random.default_rng(1).choice(len(rows[0]), 512, replace=False)
    asked, own = rows[1][some], rows[2][some].tolist()
    exact = NeighbourIndex.build(*rows).search(asked, 3, own)
    return float(_shared(index.search(asked, 3, own), exact).mean())


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 300), st.integers(1, 60), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_exact_search_is_brute_force(count: int, queries: int, k: int, seed: int) -> None:
    rows = _rows(count, width=20, seed=seed)
    rng = np.random.default_rng(seed)
    asked = rows[1][rng.integers(0, count, queries)] + np.float32(0.01)
    exclude = [None if s == 5 else f"S{s}" for s in rng.integers(0, 7, queries)]
    index = NeighbourIndex.build(*rows)
    assert index.exact
    found = index.search(asked, k, exclude)
    ids, distances = _brute_force(rows, asked, k, exclude)
    assert np.array_equal(found.ids_BK, ids)
    assert np.array_equal(found.distances_BK, distances)


def test_an_answer_does_not_depend_on_the_batch() -> None:
    rows = _rows(3000)
    index = NeighbourIndex.build(*rows)
    asked = rows[1][:400] + np.float32(0.003)
    whole = index.search(asked, 3)
    for row in range(0, 400, 40):
        alone = index.search(asked[row : row + 1], 3)
        assert np.array_equal(alone.ids_BK[0], whole.ids_BK[row])
        assert np.array_equal(alone.distances_BK[0], whole.distances_BK[row])


@pytest.mark.parametrize("exact_rows", [10_000, 1000])
def test_threads_make_no_difference(exact_rows: int) -> None:
    ids, vectors, subjects = _rows(3000)
    index = NeighbourIndex.build(ids, vectors, subjects, exact_rows=exact_rows)
    asked, own = vectors[::5] + np.float32(0.003), subjects[::5].tolist()

    def search(threads: int) -> list[Neighbours]:
        faiss.omp_set_num_threads(threads)  # of this thread alone
        found = [index.search(asked, 3, exclude) for exclude in (own, None)]
        assert faiss.omp_get_max_threads() == threads
        return found

    with ThreadPoolExecutor(1) as pool:
        by_one, by_many = pool.map(search, (1, 3))
    for one, many in zip(by_one, by_many, strict=True):
        assert np.array_equal(one.ids_BK, many.ids_BK)
        assert np.array_equal(one.distances_BK, many.distances_BK)


@settings(deadline=None, max_examples=15)
@given(st.integers(2, 200), st.sampled_from([0, 10_000]), st.integers(0, 2**32 - 1))
def test_nobody_finds_an_excluded_subject(count: int, exact_rows: int, seed: int) -> None:
    ids, vectors, subjects = _rows(count, width=20, subjects=3, seed=seed)
    index = NeighbourIndex.build(ids, vectors, subjects, exact_rows=exact_rows)
    found = index.search(vectors, 3, list(subjects))
    owner = dict(zip(ids.tolist(), subjects.tolist(), strict=True))
    for row, subject in zip(found.ids_BK.tolist(), subjects, strict=True):
        assert all(owner[window] != subject for window in row if window >= 0)
    assert np.array_equal(found.ids_BK < 0, np.isinf(found.distances_BK))


def test_cells_find_the_exact_neighbours(caplog: pytest.LogCaptureFixture) -> None:
    rows = _rows(8000, subjects=8)
    with caplog.at_level("INFO", "poise_retrieval.index.neighbour_index"):
        index = NeighbourIndex.build(*rows, exact_rows=1000)
    assert not index.exact
    assert "of the 3 nearest" in caplog.text
    assert index.recall >= RECALL
    assert _recall(index, rows) > FRESH_RECALL
    asked = rows[1][::20]
    exclude = rows[2][::20].tolist()
    found = index.search(asked, 3, exclude)
    exact, distances = _brute_force(rows, asked, 3, exclude)
    same = found.ids_BK == exact
    assert same.mean() > 0.97
    assert np.allclose(found.distances_BK[same], distances[same], rtol=1e-4, atol=1e-6)


def test_subjects_far_apart_do_not_hide_each_others_neighbours() -> None:
    rows = _, vectors, subjects = _rows(8000, subjects=8)
    for place, name in enumerate(np.unique(subjects)):
        vectors[subjects == name, place] += 10
    index = NeighbourIndex.build(*rows, exact_rows=1000)
    assert index.recall >= RECALL
    assert _recall(index, rows) > FRESH_RECALL


def test_one_cell_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = _rows(8000, subjects=8)
    index = NeighbourIndex.build(*rows, exact_rows=1000)
    monkeypatch.setattr(index, "_probes", 1)
    assert _recall(index, rows) < FRESH_RECALL


def test_a_selector_that_fails_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    ids, vectors, subjects = _rows(200, width=20)
    index = NeighbourIndex.build(ids, vectors, subjects)
    honest = NeighbourIndex._near
    monkeypatch.setattr(
        NeighbourIndex,
        "_near",
        lambda self, asked, k: honest(self, [(rows, (0, 0)) for rows, _ in asked], k),
    )
    with pytest.raises(SubjectRuleError, match="S1"):
        index.search(vectors[subjects == "S1"], 1, ["S1"] * int((subjects == "S1").sum()))


def test_all_subjects_excluded_leaves_nothing() -> None:
    ids, vectors, _ = _rows(10, width=20)
    found = NeighbourIndex.build(ids, vectors, ["me"] * 10).search(vectors, 2, ["me"] * 10)
    assert (found.ids_BK == -1).all()
    assert np.isinf(found.distances_BK).all()


def test_an_empty_index_answers_nothing() -> None:
    index = NeighbourIndex.build(np.empty(0, np.int64), np.empty((0, 20), np.float32), [])
    assert len(index) == 0
    assert (index.search(np.zeros((2, 20), np.float32), 3).ids_BK == -1).all()


def test_bad_input_is_refused() -> None:
    ids, vectors, subjects = _rows(10, width=20)
    index = NeighbourIndex.build(ids, vectors, subjects)
    broken = vectors.copy()
    broken[4, 3] = np.nan
    with pytest.raises(VectorError, match="row 4"):
        index.search(broken, 1)
    with pytest.raises(VectorError, match=r"\(rows, 20\)"):
        index.search(vectors[:, :19], 1)
    with pytest.raises(VectorError, match="1 subjects to exclude for 10"):
        index.search(vectors, 1, ["S1"])
    with pytest.raises(VectorError, match="row 4"):
        NeighbourIndex.build(ids, broken, subjects)
    with pytest.raises(VectorError, match="9 ids"):
        NeighbourIndex.build(ids[:9], vectors, subjects)


def test_the_same_rows_give_the_same_answers_and_are_not_copied() -> None:
    ids, vectors, subjects = _rows(3000)
    first, second = (NeighbourIndex.build(ids, vectors, subjects, exact_rows=0) for _ in range(2))
    assert np.shares_memory(first._vectors_NE, vectors)
    assert first.recall >= RECALL
    found, again = (
        index.search(vectors[:200], 3, list(subjects[:200])) for index in (first, second)
    )
    assert np.array_equal(found.ids_BK, again.ids_BK)
    assert np.array_equal(found.distances_BK, again.distances_BK)


def test_an_index_in_files_answers_as_it_did_and_is_not_copied(tmp_path: Path) -> None:
    ids, vectors, subjects = _rows(3000)
    built = NeighbourIndex.build(ids, vectors, subjects, exact_rows=0)
    built.write(tmp_path)
    opened = NeighbourIndex.open(tmp_path, vectors)
    assert np.shares_memory(opened._vectors_NE, vectors)
    assert isinstance(opened._ids_N.base, np.memmap)
    assert opened.recall == built.recall
    for exclude in (None, list(subjects[:200])):
        found, same = (one.search(vectors[:200], 3, exclude) for one in (opened, built))
        assert np.array_equal(found.ids_BK, same.ids_BK)
        assert np.array_equal(found.distances_BK, same.distances_BK)


@pytest.mark.parametrize("exactly", [False, True])
def test_answers_of_shards_merge_to_that_of_all_rows(exactly: bool) -> None:
    ids, vectors, subjects = rows = _rows(1000)
    exact_rows = 0 if exactly else 10_000  # cells are passed by, or there are none
    whole = NeighbourIndex.build(*rows).search(vectors, 3, list(subjects))
    merged = Neighbours.none_found(len(ids), 3)
    for part in (slice(0, 1), slice(1, 400), slice(400, 1000)):
        shard = NeighbourIndex.build(ids[part], vectors[part], subjects[part], exact_rows)
        merged = merged.merged(shard.search(vectors, 3, list(subjects), exactly=exactly))
    assert np.array_equal(merged.ids_BK, whole.ids_BK)
    assert np.array_equal(merged.distances_BK, whole.distances_BK)


def test_a_recall_below_the_promise_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(NeighbourIndex, "_recall", lambda *_: 0.98)
    with caplog.at_level("INFO", "poise_retrieval.index.neighbour_index"):
        index = NeighbourIndex.build(*_rows(2000), exact_rows=0)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert index.recall == 0.98


@dataclass(frozen=True)
class Backends:
    """The same 5,000 rows in cells here and in Milvus, and exactly."""

    rows: Rows
    cells: NeighbourIndex
    store: PoseStore
    exact: NeighbourIndex


@pytest.fixture(scope="module")
def backends(milvus: RunningMilvus) -> Iterator[Backends]:
    ids, vectors, subjects = rows = _rows(5000, subjects=7)
    with closing(PoseStore(milvus.uri)) as store:
        store.create("both_backends", vectors.shape[1])
        store.upsert("both_backends", ids, vectors, list(subjects))
        store.seal("both_backends")
        cells = NeighbourIndex.build(*rows, exact_rows=1000)
        assert not cells.exact
        yield Backends(rows, cells, store, NeighbourIndex.build(*rows))
        store.drop("both_backends")


def test_both_backends_lead_to_the_same_neighbours(backends: Backends) -> None:
    ids, vectors, subjects = backends.rows
    order = np.argsort(ids)
    agreed: dict[str, list[NDArray[np.bool_]]] = {"cells": [], "Milvus": [], "each other": []}

    @settings(deadline=None, max_examples=12)
    @given(st.integers(1, 6), st.integers(1, 120), st.integers(0, 2**32 - 1))
    def ask(k: int, batch: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        queries = vectors[rng.integers(0, len(ids), batch)]
        queries = queries + rng.normal(scale=0.01, size=queries.shape).astype(np.float32)
        exclude = [None if s == 7 else f"S{s}" for s in rng.integers(0, 8, batch)]
        exact = backends.exact.search(queries, k, exclude)
        found = {
            "cells": backends.cells.search(queries, k, exclude),
            "Milvus": backends.store.search("both_backends", queries, k, exclude),
        }
        for backend, answer in found.items():
            rows_BK = order[np.searchsorted(ids[order], answer.ids_BK)]
            assert np.array_equal(ids[rows_BK], answer.ids_BK)
            assert not (subjects[rows_BK] == np.array(exclude)[:, None]).any()
            own_BK = np.square(vectors[rows_BK] - queries[:, None]).sum(-1)
            np.testing.assert_allclose(answer.distances_BK, own_BK, rtol=1e-3, atol=1e-5)
            agreed[backend].append(_shared(answer, exact))
        agreed["each other"].append(_shared(*found.values()))

    ask()
    recall = {what: float(np.concatenate(shared).mean()) for what, shared in agreed.items()}
    assert min(recall.values()) >= RECALL, recall


def _shared(answer: Neighbours, other: Neighbours) -> NDArray[np.bool_]:
    """Say which neighbours of an answer the other one has too."""
    shared: NDArray[np.bool_] = (answer.ids_BK[:, :, None] == other.ids_BK[:, None]).any(2)
    return shared.ravel()
