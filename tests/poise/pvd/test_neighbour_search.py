"""Neighbours by workers: one index or many shards of one lead to the same windows table."""

import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
from tests.support.tiny_lake import TRACK, write_tiny_lake

from poise.catalog.splits import SPLITS
from poise.lake.manifest import part_folder, read_manifest
from poise.lake.parts import read_part, window_ranges
from poise.lake.split_index import SplitIndex
from poise.lake.windows import neighbours_of
from poise.pvd.neighbour_search import Parts, search_windows
from poise.pvd.node_index import Shard, _reserved
from poise.pvd.vectors import read_vectors, write_vectors
from poise.runtime.ticking import every_few_seconds
from poise_retrieval.index.neighbour_index import RECALL
from poise_retrieval.neighbours import Neighbours

pytestmark = pytest.mark.usefixtures("cluster")
WIDTH, NO_ROWS, EVERY_ROW = 84, 0, 100_000


class Lake:
    """A track of 8,937 training windows, in two parts, with the vectors of its truth."""

    def __init__(self, folder: Path) -> None:
        write_tiny_lake(folder, frames=1000)
        manifest = read_manifest(folder, TRACK)
        self.folder = str(folder)
        self.splits = {split: SplitIndex.read(folder, manifest, split) for split in SPLITS}
        self.train = self.splits["train"]
        receipts = write_vectors(self.train, self.folder).take_all()
        assert not any(receipt["error"] for receipt in receipts)
        self.vectors = sorted(receipt["path"] for receipt in receipts)

    def search(self, shard_bytes: int, exact_rows: int) -> tuple[Parts, float, list[int]]:
        shards = Shard.all(self.train, self.vectors, WIDTH, "subject", shard_bytes, exact_rows)
        assert len(shards) == (1 if shard_bytes > 1 else len(self.vectors))
        said: list[int] = []
        parts, recall = search_windows(self.folder, self.splits, shards, said.append)
        assert said == sorted(said)
        assert said[-1] == len(shards) * sum(index.windows for index in self.splits.values())
        return parts, recall, said

    def neighbours(self, parts: Parts) -> Neighbours:
        folder = part_folder(self.folder, TRACK, "windows", "train")
        first, *rest = (neighbours_of(read_part(f"{folder}/{name}")) for name in parts["train"])
        assert not rest or len(first.ids_BK) == window_ranges(self.train.windows)[0][1]
        return first


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory, cluster: None) -> Lake:
    return Lake(tmp_path_factory.mktemp("lake"))


@pytest.mark.parametrize("system", ["reserves", "cannot"])
def test_no_write_to_mapped_vectors_can_find_the_disk_full(
    system: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if system == "cannot":
        monkeypatch.delattr("os.posix_fallocate")
    vectors_NE = _reserved(tmp_path / "vectors.npy", (50_000, WIDTH))
    taken = (tmp_path / "vectors.npy").stat()
    assert taken.st_blocks * 512 >= taken.st_size > vectors_NE.nbytes
    vectors_NE[:] = 1
    assert np.array_equal(np.load(tmp_path / "vectors.npy"), vectors_NE)


def test_vectors_are_those_of_the_windows_in_their_order(lake: Lake) -> None:
    ids = [read_vectors(path)[0] for path in lake.vectors]
    assert [len(some) for some in ids] == [8192, 8937 - 8192]
    assert [n for some in ids for n in some.tolist()] == lake.train.every_window()[1].tolist()


def test_an_index_opens_elsewhere_from_the_files_of_here(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shard,) = Shard.all(lake.train, lake.vectors, WIDTH, "subject", exact_rows=NO_ROWS)
    monkeypatch.setenv("POISE_CACHE", str(tmp_path / "here"))
    here, files = shard.open_to_share()
    monkeypatch.setenv("POISE_CACHE", str(tmp_path / "elsewhere"))
    elsewhere = shard.open(lambda: files)
    _, vectors_BE, _ = read_vectors(lake.vectors[1])
    ids_BK, there_BK = (one.search(vectors_BE, 3).ids_BK for one in (here, elsewhere))
    assert np.array_equal(ids_BK, there_BK)


def test_shards_find_what_one_index_finds(lake: Lake) -> None:
    whole, exact, _ = lake.search(2**40, EVERY_ROW)
    sharded, merged, _ = lake.search(1, EVERY_ROW)
    assert sharded == whole, "parts are named after their content"
    assert exact == merged == 1.0
    for split in SPLITS:
        kept = set(os.listdir(part_folder(lake.folder, TRACK, "windows", split)))
        assert set(whole[split]) <= kept
        assert len(kept) == len(whole[split]) + 1, "and those that the manifest names, no drafts"


@pytest.mark.chaos
def test_a_worker_that_is_lost_costs_only_what_it_was_at(lake: Lake) -> None:
    whole, _, _ = lake.search(2**40, EVERY_ROW)
    killed: list[int] = []

    def kill(_: int) -> None:
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if not killed and "_write_part" in " ".join(process.cmdline()):
                    process.kill()
                    killed.append(process.pid)

    for _ in range(50):
        with every_few_seconds(kill, 0.005, "killer"):
            assert lake.search(2**40, EVERY_ROW)[0] == whole
        if killed:
            return
    raise AssertionError("no worker was found at work")


def test_cells_that_a_node_shares_find_nearly_all_of_it(lake: Lake) -> None:
    exact = lake.neighbours(lake.search(2**40, EVERY_ROW)[0])
    for shard_bytes in (2**40, 1):
        parts, recall, _ = lake.search(shard_bytes, NO_ROWS)
        found = lake.neighbours(parts)
        assert recall >= RECALL
        # Made-up motion is full of neighbours that are as near.
        assert found.distances_BK.mean() < 1.01 * exact.distances_BK.mean()
        assert lake.search(shard_bytes, NO_ROWS)[0] == parts, "out of files made before"
