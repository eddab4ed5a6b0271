"""An ingest of bad files, of a track in use, and without its Milvus for a while."""

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from tests.support.door import Door
from tests.support.ingested_track import TRACK, Lines, check_neighbours, people
from tests.support.ingesting import ingest

from poise.catalog.splits import SPLITS
from poise.lake.manifest import (
    has_track,
    read_manifest,
    track_folder,
)
from poise.readers.layouts import write_smoothnet
from poise.runtime.errors import BusyError, DataError
from poise.runtime.locks import exclusive
from poise_retrieval.errors import StoreUnavailableError

pytestmark = pytest.mark.usefixtures("told")


def test_one_ingest_of_a_track_at_a_time(data: Path, tmp_path: Path, milvus: str) -> None:
    place = tmp_path / "lake"
    with exclusive(track_folder(place, TRACK)), pytest.raises(BusyError):
        ingest(TRACK, data=data, lake=place, milvus_uri=milvus)


def test_bad_sequences_are_left_out_and_named(data: Path, tmp_path: Path, milvus: str) -> None:
    made = people("train")
    made[3].detected_FC[:, 6:] = np.inf  # two joints are no body
    write_smoothnet(data, TRACK, "train", made)
    said = Lines()
    place = tmp_path / "lake"
    manifest = ingest(TRACK, data=data, lake=place, milvus_uri=milvus, report=said.append)
    train = manifest.splits["train"]
    assert (train.read, train.sequences, train.quarantined) == (6, 5, 1)
    left_out = manifest.quarantined[0]
    assert (left_out.split, left_out.key) == ("train", "joints_3d")
    assert left_out.file == "poses/uiprmd_kinect_3D/detected/uiprmd_kinect_3D_train.npz"
    assert said.said(left_out.sequence)
    assert read_manifest(place, TRACK) == manifest


def test_nothing_usable_is_an_error(data: Path, tmp_path: Path, milvus: str) -> None:
    for split in SPLITS:
        made = people(split)
        for sequence in made:
            sequence.detected_FC[:, 6:] = np.nan
        write_smoothnet(data, TRACK, split, made)
    with pytest.raises(DataError, match="none of its 8 sequences"):
        ingest(TRACK, data=data, lake=tmp_path / "lake", milvus_uri=milvus)
    assert not has_track(tmp_path / "lake", TRACK)


def test_a_damaged_file_is_one_clear_error(data: Path, tmp_path: Path, milvus: str) -> None:
    file = next(data.rglob("detected/*_train.npz"))
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"uiprmd_kinect_3D_train\.npz"):
        ingest(TRACK, data=data, lake=tmp_path / "lake", milvus_uri=milvus)


@pytest.fixture
def door(milvus: str) -> Iterator[Door]:
    with closing(Door()) as before_milvus:
        before_milvus.open(milvus)
        yield before_milvus


@pytest.mark.slow
@pytest.mark.chaos
def test_milvus_away_for_a_while_costs_nothing(
    data: Path, tmp_path: Path, milvus: str, door: Door
) -> None:
    said = Lines()

    def report(line: str) -> None:
        said.append(line)
        if "sequences  " in line:
            door.shut()
            threading.Timer(4, door.open, [milvus]).start()

    place = tmp_path / "lake"
    manifest = ingest(TRACK, data=data, lake=place, milvus_uri=door.uri, report=report)
    assert manifest.pvd is not None
    assert manifest.pvd.rows == manifest.splits["train"].windows
    check_neighbours(place)


@pytest.mark.slow
@pytest.mark.chaos
def test_milvus_away_for_good_ends_in_time_and_the_next_run_finishes(
    data: Path, tmp_path: Path, milvus: str, door: Door
) -> None:
    place = tmp_path / "lake"
    door.shut()
    with pytest.raises(StoreUnavailableError, match="does not answer"):
        ingest(TRACK, data=data, lake=place, milvus_uri=door.uri, patience_s=2)
    assert not has_track(place, TRACK)
    door.open(milvus)
    ingest(TRACK, data=data, lake=place, milvus_uri=door.uri)
    check_neighbours(place)
