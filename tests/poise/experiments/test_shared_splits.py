"""Splits that several workers read from one place in memory."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
import torch
from tests.support.tiny_lake import TRACK, write_tiny_lake

from poise.experiments.shared_splits import SplitSource, shared_splits
from poise.lake.split_index import SplitIndex
from poise.runtime.errors import LakeError
from poise.training_data.split import TrackSplit, load_split
from poise_retrieval.neighbours import Neighbours


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("lake")
    # More than the 100 kB up to which Ray copies an object after all.
    write_tiny_lake(folder, frames=200)
    return str(folder)


@pytest.fixture(scope="module")
def source(cluster: None, lake: str) -> Iterator[SplitSource]:
    with shared_splits(lake) as found:
        yield found


def same(one: TrackSplit, other: TrackSplit) -> bool:
    def plain(value: Any) -> Any:
        if isinstance(value, (torch.Tensor, np.ndarray)):
            return value.tolist()
        if isinstance(value, (TrackSplit, SplitIndex, Neighbours)):
            return [plain(getattr(value, field.name)) for field in dataclasses.fields(value)]
        return value

    return bool(plain(one) == plain(other))


class Reader:
    """A worker that holds a split."""

    def __init__(self, source: SplitSource, lake: str) -> None:
        self.split, self.lake = source.split(TRACK, "train"), lake

    def file(self) -> str:
        """Return the number of the file that its poses lie in; 0 is memory of its own."""
        place = self.split.detected_FC.data_ptr()
        for line in Path("/proc/self/maps").read_text().splitlines():
            start, end = (int(part, 16) for part in line.split()[0].split("-"))
            if start <= place < end:
                return line.split()[4]
        raise AssertionError("the split lies nowhere")

    def is_right(self) -> bool:
        return same(self.split, load_split(self.lake, TRACK, "train"))


def test_workers_read_a_split_where_it_lies(source: SplitSource, lake: str) -> None:
    readers = [ray.remote(Reader).options(num_cpus=0).remote(source, lake) for _ in range(2)]
    one, other = ray.get([reader.file.remote() for reader in readers])
    assert one == other != "0"
    assert ray.get([reader.is_right.remote() for reader in readers]) == [True, True]


def test_splits_of_another_track_or_of_no_keeper_are_read_all_the_same(
    source: SplitSource, lake: str, tmp_path: Path
) -> None:
    test = source.split(TRACK, "test")
    assert same(test, load_split(lake, TRACK, "test"))
    assert same(SplitSource(lake, "nobody").split(TRACK, "test"), test)
    assert same(SplitSource(lake).split(TRACK, "test"), test)


def test_a_track_that_is_not_there_is_said_as_the_lake_says_it(source: SplitSource) -> None:
    with pytest.raises(LakeError, match="mupots") as error:
        source.split(type(TRACK).parse("mupots/tposenet/3D"), "test")
    assert "Traceback" not in str(error.value)
