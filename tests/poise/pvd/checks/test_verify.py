"""A sound PVD has no findings; each kind of damage, done to a real Milvus, has its own."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pymilvus import MilvusClient
from tests.support.serving import publish
from tests.support.tiny_lake import TRACK, write_tiny_lake

from poise.lake.checks.report import Report
from poise.lake.ids import decode
from poise.lake.manifest import read_manifest, write_manifest
from poise.lake.poses import POSES, Pose, read_windows
from poise.lake.split_index import SplitIndex
from poise.pvd.checks.sample import ExactSearch, Sample
from poise.pvd.checks.verify import verify
from poise.pvd.pose_bank import PoseBank
from poise.runtime.errors import LakeError
from poise.training_data.split import load_split
from poise_retrieval.index.neighbour_index import NeighbourIndex
from poise_retrieval.milvus.packing import subject_key
from poise_retrieval.milvus.store import PoseStore

Rows = tuple[Any, Any, list[str]]
_names = itertools.count()


@pytest.fixture(scope="module")
def milvus(lite_uri: str) -> str:
    return lite_uri


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lake = tmp_path_factory.mktemp("lake")
    write_tiny_lake(lake)
    return lake


@pytest.fixture
def collection(lake: Path, milvus: str) -> str:
    """Publish the lake's PVD under names no other test uses."""
    manifest = read_manifest(lake, TRACK)
    number = next(_names)
    assert manifest.pvd is not None
    pvd = replace(manifest.pvd, collection=f"rows_{number}", alias=f"alias_{number}")
    write_manifest(lake, replace(manifest, pvd=pvd))
    publish(lake, milvus)
    return pvd.collection


def found(report: Report) -> set[str]:
    return {finding.check for finding in report.findings}


def test_a_sound_pvd_has_no_findings(lake: Path, milvus: str, collection: str) -> None:
    report = verify(lake, TRACK, milvus)
    assert report.findings == []
    text = report.text()
    assert "297 rows, one for each window" in text
    assert "297 vectors made anew are equal" in text
    assert "recall@3 1.0000 over 297 training queries" in text


def _delete(client: MilvusClient, name: str, rows: Rows) -> None:
    client.delete(name, ids=[int(rows[0][5])])


def _add(client: MilvusClient, name: str, rows: Rows) -> None:
    client.insert(name, [_row(7, rows[1][0], "S1")])


def _change(client: MilvusClient, name: str, rows: Rows) -> None:
    moved = rows[1][5] + np.eye(84, dtype=np.float32)[3] * 1e-3
    client.upsert(name, [_row(rows[0][5], moved, rows[2][5])])


def _spoil(client: MilvusClient, name: str, rows: Rows) -> None:
    client.upsert(name, [_row(rows[0][5], np.full(84, np.nan, np.float32), rows[2][5])])


def _rename(client: MilvusClient, name: str, rows: Rows) -> None:
    client.upsert(name, [_row(rows[0][5], rows[1][5], "somebody else")])


def _move_alias(client: MilvusClient, name: str, rows: Rows) -> None:
    PoseStore(client._config.uri).create(f"{name}_other", 84)
    client.alter_alias(f"{name}_other", name.replace("rows", "alias"))


def _drop_alias(client: MilvusClient, name: str, rows: Rows) -> None:
    client.drop_alias(name.replace("rows", "alias"))


def _drop(client: MilvusClient, name: str, rows: Rows) -> None:
    client.drop_alias(name.replace("rows", "alias"))
    client.drop_collection(name)


DAMAGES: dict[str, tuple[Callable[[MilvusClient, str, Rows], None], set[str]]] = {
    "a row is gone": (_delete, {"count", "missing"}),
    "a row too many": (_add, {"count", "extra"}),
    "a vector changed": (_change, {"vectors"}),
    "a vector of NaN": (_spoil, {"vectors", "finite"}),
    "a wrong subject": (_rename, {"subjects"}),
    "alias elsewhere": (_move_alias, {"alias"}),
    "no alias": (_drop_alias, {"alias"}),
    "all gone": (_drop, {"alias", "collection"}),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_each_damage_is_found_and_says_what_to_do(
    damage: str, lake: Path, milvus: str, collection: str
) -> None:
    break_it, checks = DAMAGES[damage]
    (rows,) = PoseStore(milvus).rows(collection)
    break_it(MilvusClient(milvus), collection, rows)
    report = verify(lake, TRACK, milvus)
    assert found(report) == checks, report.text()
    assert report.failed
    assert all("poise pvd rebuild" in finding.advice for finding in report.findings)


def test_a_sample_may_be_smaller_than_the_collection(
    lake: Path, milvus: str, collection: str
) -> None:
    report = verify(lake, TRACK, milvus, sample=20)
    assert report.findings == []
    assert "20 vectors made anew" in report.text()


def test_vectors_of_another_embedding_are_a_finding(
    lake: Path, milvus: str, collection: str
) -> None:
    manifest = read_manifest(lake, TRACK)
    assert manifest.pvd is not None
    write_manifest(lake, replace(manifest, pvd=replace(manifest.pvd, embedding=0)))
    report = verify(lake, TRACK, milvus)
    write_manifest(lake, manifest)
    assert found(report) == {"embedding"}
    assert "poise pvd rebuild" in report.findings[0].advice


def test_a_track_without_a_pvd_says_how_to_make_one(lake: Path, tmp_path: Path) -> None:
    manifest = read_manifest(lake, TRACK)
    write_manifest(tmp_path, replace(manifest, pvd=None))
    with pytest.raises(LakeError, match="poise pvd rebuild"):
        verify(tmp_path, TRACK, "http://127.0.0.1:1")


def test_the_streamed_search_is_the_exact_one(lake: Path) -> None:
    index = SplitIndex.read(lake, read_manifest(lake, TRACK), "train")
    sample = Sample.draw(index, 60, 0)
    everything = Sample.draw(index, 10_000, 0)
    subjects = [index.subjects[row] for row in _rows_of(index, everything)]
    exact = ExactSearch(sample)
    for at in range(0, len(subjects), 50):
        page = slice(at, at + 50)
        exact.add(everything.vectors_NE[page], np.array(subjects[page]))
    database = NeighbourIndex.build(everything.ids_N, everything.vectors_NE, subjects)
    right = database.search(sample.queries_QE, 3, sample.subjects_Q).distances_BK
    assert exact.recall_of(right) == 1.0
    assert exact.recall_of(right + np.array([0, 0, 1], np.float32)) == pytest.approx(2 / 3)


@pytest.mark.parametrize("pose", POSES)
def test_windows_by_id_are_those_of_the_loaded_split(lake: Path, pose: Pose) -> None:
    split = load_split(lake, TRACK, "train")
    index = SplitIndex.read(lake, read_manifest(lake, TRACK), "train")
    ids = np.random.default_rng(0).permutation(index.every_window()[1])
    some = np.concatenate([ids[:20], ids[:3]])
    bank = PoseBank(index, split.truth if pose == "truth" else split.detected_FC)
    wanted = bank.windows(torch.from_numpy(some))
    np.testing.assert_array_equal(read_windows(index, some, pose), wanted)
    with pytest.raises(LakeError, match="window 99 is not in"):
        read_windows(index, np.array([99]), "truth")


def _rows_of(index: SplitIndex, sample: Sample) -> list[int]:
    order = {int(one): row for row, one in enumerate(index.ids_S)}
    return [order[decode(int(one))[0]] for one in sample.ids_N]


def _row(window: Any, vector: Any, subject: str) -> dict[str, Any]:
    return {
        "window_id": int(window),
        "vector": vector,
        "subject": subject,
        "subject_key": subject_key(subject),
    }
