"""Both search backends, and what is published while a retriever is open."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.support import tiny_lake as tinylake
from tests.support.lake_rows import write_rows
from tests.support.serving import clip, publish

from poise.lake.manifest import part_folder, read_manifest, write_manifest
from poise.lake.split_index import SplitIndex
from poise.pvd import publish as publishing
from poise.pvd import vectors
from poise.pvd.retriever import Retriever, choose_search_backend
from poise.runtime.errors import LakeError
from poise_models.base.windows import unfold
from poise_retrieval.errors import StoreUnavailableError
from poise_retrieval.geometry.embedding import embed
from poise_retrieval.milvus.server import EmbeddedMilvus
from poise_retrieval.milvus.store import PoseStore

GB = 10**9
LENGTHS = (3, 8, 20, 45, 80, 5, 31, 33, 64, 12, 27)


@pytest.fixture(scope="module")
def milvus(lite_uri: str) -> str:
    return lite_uri


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory, milvus: str) -> Path:
    folder = tmp_path_factory.mktemp("lake")
    tinylake.write_tiny_lake(folder)
    publish(folder, milvus)
    return folder


@pytest.fixture(scope="module")
def backends(lake: Path, milvus: str) -> Iterator[tuple[Retriever, Retriever]]:
    index = Retriever(lake, tinylake.TRACK, milvus, search_backend="index")
    server = Retriever(lake, tinylake.TRACK, milvus, search_backend="milvus")
    yield index, server
    server.close()


def test_what_is_found_does_not_depend_on_what_else_is_asked(
    backends: tuple[Retriever, Retriever],
) -> None:
    index, _ = backends
    parts = [unfold(torch.from_numpy(clip(frames, seed=frames)), 8) for frames in LENGTHS]
    _, together = index.find_windows(torch.cat(parts))
    assert torch.equal(together, torch.cat([index.find_windows(part)[1] for part in parts]))


@settings(deadline=None, max_examples=25)
@example(frames=31, seed=31)
@given(st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_both_backends_find_the_same(
    backends: tuple[Retriever, Retriever], frames: int, seed: int
) -> None:
    detected_FC = torch.from_numpy(clip(frames, seed))
    (near_N1TC, distance_N1), (far_N1TC, far_N1) = (one.find(detected_FC) for one in backends)
    near_NTC, far_NTC, distance_N, far_N = near_N1TC[:, 0], far_N1TC[:, 0], distance_N1, far_N1
    assert torch.allclose(distance_N, far_N, rtol=1e-4, atol=1e-5)
    index = backends[0].index
    assert index is not None
    queries = embed(unfold(detected_FC, 8), tinylake.TRACK.info.skeleton, "3D").numpy()
    first_N, second_N = index.search(queries, 2).distances_BK.T
    clear_N = torch.from_numpy(second_N > first_N * (1 + 1e-4))  # of equals, either may be found
    assert torch.allclose(near_NTC[clear_N], far_NTC[clear_N], atol=1e-4)


def test_memory_and_server_choose_the_backend() -> None:
    assert choose_search_backend(6_000_000, 84, lite=False, memory=16 * GB) == "index"
    assert choose_search_backend(6_000_000, 84, lite=False, memory=8 * GB) == "milvus"
    assert choose_search_backend(6_000_000, 84, lite=True, memory=8 * GB) == "index"


def test_the_backend_is_chosen_and_said(
    lake: Path, milvus: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "poise.pvd.retriever"):
        assert Retriever(lake, tinylake.TRACK, milvus).search_backend == "index"
    assert "searched by an index here" in caplog.text


def test_the_index_is_made_of_the_lake_where_it_has_what_is_published(
    lake: Path,
    milvus: str,
    backends: tuple[Retriever, Retriever],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = read_manifest(lake, tinylake.TRACK)
    table = vectors._table(SplitIndex.read(lake, before, "train"), 0, 297)
    folder = Path(part_folder(lake, tinylake.TRACK, "vectors", "train"))
    name = write_rows(str(folder), table)
    assert before.pvd is not None
    write_manifest(lake, replace(before, pvd=replace(before.pvd, vectors_parts=[name])))
    query_FC = torch.from_numpy(clip(31))
    try:
        with monkeypatch.context() as patch:
            patch.setattr("poise.pvd.retriever.load_index", None)  # Milvus is not read
            from_lake = Retriever(lake, tinylake.TRACK, milvus)
        (folder / name).write_bytes(b"PAR1")
        from_milvus = Retriever(lake, tinylake.TRACK, milvus)
    finally:
        write_manifest(lake, before)
    assert "the rows are read from Milvus instead" in caplog.text
    for held in (from_lake, from_milvus):
        for ours, theirs in zip(held.find(query_FC), backends[0].find(query_FC), strict=True):
            assert torch.allclose(ours, theirs, atol=1e-4)


def test_another_collection_or_manifest_is_noticed(lake: Path, milvus: str) -> None:
    held = Retriever(lake, tinylake.TRACK, milvus)
    assert not held.stale()
    before = read_manifest(lake, tinylake.TRACK)
    assert before.pvd is not None
    write_manifest(lake, replace(before, pvd=replace(before.pvd, recall=0.5)))
    try:
        assert held.stale()
    finally:
        write_manifest(lake, before)
    assert not held.stale()
    with closing(PoseStore(milvus)) as store:
        [(ids, vectors, subjects)] = store.rows(before.pvd.collection)
        store.create("pvd_elsewhere", vectors.shape[1])
        store.upsert("pvd_elsewhere", ids, vectors, subjects)
        store.seal("pvd_elsewhere")
        store.publish(before.pvd.alias, "pvd_elsewhere")
        assert held.stale()
        assert not Retriever(lake, tinylake.TRACK, milvus).stale()
        store.publish(before.pvd.alias, before.pvd.collection)


def test_without_milvus_the_index_goes_on(lake: Path, tmp_path: Path) -> None:
    with EmbeddedMilvus(tmp_path / "away") as server:
        publish(lake, server.uri)
        held = Retriever(lake, tinylake.TRACK, server.uri)
    assert not held.stale()
    neighbours_NTC, _ = held.find(torch.from_numpy(clip(9)))
    assert len(neighbours_NTC) == 2
    with pytest.raises(StoreUnavailableError):
        Retriever(lake, tinylake.TRACK, "http://127.0.0.1:9")


def test_vectors_of_another_embedding_are_not_asked(
    lake: Path, tmp_path: Path, milvus: str
) -> None:
    manifest = read_manifest(lake, tinylake.TRACK)
    assert manifest.pvd is not None
    write_manifest(tmp_path, replace(manifest, pvd=replace(manifest.pvd, embedding=0)))
    with pytest.raises(LakeError, match=r"embedding 0, .*: run poise pvd rebuild .*/kinect/3D"):
        Retriever(tmp_path, tinylake.TRACK, milvus)


def test_a_build_is_not_taken_up_by_another_embedding_or_of_other_sequences(
    lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = read_manifest(lake, tinylake.TRACK)
    train = manifest.splits["train"]
    searched = {"train": replace(train, windows_parts=["other"])}
    changed = {"train": replace(train, sequences_parts=["other"])}
    before = publishing.fingerprint(manifest)
    assert publishing.fingerprint(replace(manifest, splits=manifest.splits | searched)) == before
    assert publishing.fingerprint(replace(manifest, splits=manifest.splits | changed)) != before
    monkeypatch.setattr(publishing, "EMBEDDING_VERSION", 99)
    assert publishing.fingerprint(manifest) != before
