"""The lake on S3: a real HTTP server, real pyarrow.fs, and Ray workers that write to it."""

from pathlib import Path

import pytest
import torch
from tests.support.ingesting import ingest
from tests.support.object_store import new_bucket

from poise.catalog.splits import SPLITS
from poise.catalog.tracks import Track
from poise.checkpoints.checkpoint import pose_spec
from poise.evaluation.evaluate import evaluate
from poise.ingest.split_writer import write_split
from poise.lake.manifest import part_folder, read_manifest, track_folder, tracks_in
from poise.readers.layouts import write_smoothnet
from poise.readers.synthetic.sequences import Size, sequences
from poise.runtime import storage
from poise.runtime.errors import BusyError
from poise.runtime.locks import exclusive
from poise.training_data.examples import Examples
from poise.training_data.split import load_split
from poise.training_data.streaming import StreamedSplit, StreamedWindows
from poise_models import catalogue

TRACK = Track.parse("uiprmd/kinect/3D")


@pytest.fixture(scope="module")
def bucket(s3: None) -> str:
    return new_bucket("poses")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    for split in SPLITS:
        write_smoothnet(folder, TRACK, split, sequences(split, Size(2, 2, 24)))
    return folder


def test_bytes_and_parts(bucket: str, data: Path) -> None:
    place = f"{bucket}/bytes"
    file = storage.join(place, "folder", "file.bin")
    storage.write_bytes(file, b"one")
    storage.write_bytes(file, b"two")
    assert storage.read_bytes(file) == b"two"
    assert storage.list_dir(storage.join(place, "folder")) == ["file.bin"]
    storage.remove(file)
    assert not storage.exists(file)
    with pytest.raises(FileNotFoundError):
        storage.read_bytes(file)
    assert storage.list_dir(storage.join(place, "nowhere")) == []
    here = write_split(data, TRACK, str(data / "lake"), "train")
    there = write_split(data, TRACK, f"{place}/lake", "train")
    assert here == there
    folder = part_folder(f"{place}/lake", TRACK, "sequences", "train")
    assert storage.list_dir(folder) == here.summary.sequences_parts


@pytest.mark.slow
def test_from_raw_files_to_a_score(cluster: None, bucket: str, data: Path, tmp_path: Path) -> None:
    place = f"{bucket}/lake"
    made = ingest(TRACK, data=data, lake=place, home=tmp_path, pvd=False)
    said: list[str] = []
    again = ingest(TRACK, data=data, lake=place, home=tmp_path, pvd=False, report=said.append)
    assert said == [f"{TRACK}: up to date, 8 sequences, 192 frames, 136 windows"]
    with (
        exclusive(track_folder(place, TRACK)),
        pytest.raises(BusyError, match="in use by process"),
    ):
        ingest(TRACK, data=data, lake=place, home=tmp_path, pvd=False)
    assert made == again == read_manifest(place, TRACK)
    assert tracks_in(place) == [str(TRACK)]
    assert list(tmp_path.rglob("*.parquet")) == []

    test = load_split(place, TRACK, "test")
    by_name = {one.name: one for one in sequences("test", Size(2, 2, 24))}
    for name, detected in zip(test.index.names, test.detected(), strict=True):
        assert torch.equal(detected, torch.from_numpy(by_name[name].detected_FC))
    raw = catalogue.build("input", pose_spec(TRACK), {})
    row = evaluate(raw, Examples.of(test, test.clips(None)), TRACK, seed=0).row
    assert row.frames == 4 * 24
    assert row.mpjpe > 0

    windows = StreamedWindows(StreamedSplit(place, TRACK), 8, None, "cpu")
    order = windows.order(torch.Generator().manual_seed(0))
    assert len(order) == 4 * 17
    assert windows.batch(order[:10], torch.Generator()).truth_BTC.shape == (10, 8, 51)
