"""Raw files and lake on S3: a real HTTP server, real pyarrow.fs, and Ray workers that use it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.support.ingesting import ingest
from tests.support.object_store import new_bucket

from poise.catalog.splits import SPLITS
from poise.catalog.tracks import Track
from poise.checkpoints.checkpoint import pose_spec
from poise.evaluation.evaluate import evaluate
from poise.ingest import rounds
from poise.ingest.sources import RawTrack
from poise.ingest.sources import tracks_in as tracks_under
from poise.ingest.split_writer import write_split
from poise.lake.manifest import (
    part_folder,
    part_paths,
    read_manifest,
    track_folder,
    tracks_in,
)
from poise.lake.split_index import SplitIndex
from poise.readers.layouts import write_smoothnet
from poise.readers.raw_split import open_split
from poise.readers.sequence import PoseSequence
from poise.readers.synthetic.sequences import Size, sequences
from poise.runtime import storage
from poise.runtime.errors import BusyError, DataError, LakeError
from poise.runtime.locks import exclusive
from poise.runtime.remote_path import place
from poise.training_data.examples import Examples
from poise.training_data.node_copies import NodeCopies
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


@pytest.fixture(scope="module")
def raw(bucket: str, data: Path) -> Path:
    """The same raw files, in the bucket."""
    for file in data.rglob("*.npz"):
        storage.write_bytes(f"{bucket}/raw/{file.relative_to(data)}", file.read_bytes())
    return place(f"{bucket}/raw")


def test_raw_files_are_found_and_read_where_they_are(raw: Path, data: Path, tmp_path: Path) -> None:
    there, here = RawTrack.find(raw, TRACK), RawTrack.find(data, TRACK)
    assert (there.sources, there.splits) == (here.sources, here.splits)
    assert list(raw.glob("poses/*/*/*_train.npz")) == [
        place(str(raw / "poses" / file.relative_to(data / "poses")))
        for file in sorted(data.glob("poses/*/*/*_train.npz"))
    ]
    assert [path.name for path in raw.iterdir()] == ["poses"]
    assert tracks_under(raw) == [TRACK]
    for one, other in zip(*(open_split(at, TRACK, "train") for at in (raw, data)), strict=True):
        assert isinstance(one, PoseSequence)
        assert isinstance(other, PoseSequence)
        assert np.array_equal(one.detected_FC, other.detected_FC)
    with pytest.raises(DataError, match=r"looked for\n  s3://poses/none/poses/uiprmd_kinect_3D"):
        RawTrack.find(place("s3://poses/none"), TRACK)


def test_bytes_and_parts(bucket: str, data: Path) -> None:
    folder = f"{bucket}/bytes"
    file = storage.join(folder, "folder", "file.bin")
    storage.write_bytes(file, b"one")
    storage.write_bytes(file, b"two")
    assert storage.read_bytes(file) == b"two"
    assert storage.list_dir(storage.join(folder, "folder")) == ["file.bin"]
    storage.remove(file)
    assert not storage.exists(file)
    with pytest.raises(FileNotFoundError):
        storage.read_bytes(file)
    assert storage.list_dir(storage.join(folder, "nowhere")) == []
    here = write_split(data, TRACK, str(data / "lake"), "train")
    there = write_split(data, TRACK, f"{folder}/lake", "train")
    assert here == there
    parts = part_folder(f"{folder}/lake", TRACK, "sequences", "train")
    assert storage.list_dir(parts) == here.summary.sequences_parts


@pytest.mark.slow
def test_from_raw_files_to_a_score(
    cluster: None, bucket: str, raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "WHOLE_BYTES", 1)
    monkeypatch.setattr(rounds, "SHARE_BYTES", 20_000)
    lake, data = f"{bucket}/lake", raw
    made = ingest(TRACK, data=data, lake=lake, home=tmp_path, pvd=False)
    assert storage.list_dir(track_folder(lake, TRACK)) == [
        "manifest.json", "sequences", "windows",
    ]  # fmt: skip
    said: list[str] = []
    again = ingest(TRACK, data=data, lake=lake, home=tmp_path, pvd=False, report=said.append)
    assert said == [f"{TRACK}: up to date, 8 sequences, 192 frames, 136 windows"]
    with (
        exclusive(track_folder(lake, TRACK)),
        pytest.raises(BusyError, match="in use by process"),
    ):
        ingest(TRACK, data=data, lake=lake, home=tmp_path, pvd=False)
    assert made == again == read_manifest(lake, TRACK)
    assert tracks_in(lake) == [str(TRACK)]
    assert list(tmp_path.rglob("*.parquet")) == []

    test = load_split(lake, TRACK, "test")
    by_name = {one.name: one for one in sequences("test", Size(2, 2, 24))}
    for name, detected in zip(test.index.names, test.detected(), strict=True):
        assert torch.equal(detected, torch.from_numpy(by_name[name].detected_FC))
    unrefined = catalogue.build("input", pose_spec(TRACK), {})
    row = evaluate(unrefined, Examples.of(test, test.clips(None)), TRACK, seed=0).row
    assert row.frames == 4 * 24
    assert row.mpjpe > 0

    monkeypatch.setenv("POISE_CACHE", str(tmp_path / "cache"))
    kept = StreamedWindows(StreamedSplit(lake, TRACK), 8, None, "cpu")
    monkeypatch.setenv("POISE_CACHE", str(tmp_path / "empty"))
    monkeypatch.setenv("POISE_CACHE_GB", "0")
    read_anew = StreamedWindows(StreamedSplit(lake, TRACK), 8, None, "cpu")

    def first_ten(windows: StreamedWindows) -> torch.Tensor:
        order = windows.order(torch.Generator().manual_seed(0))
        assert len(order) == 4 * 17
        return windows.batch(order[:10], torch.Generator()).truth_BTC

    once = first_ten(kept)
    assert once.shape == (10, 8, 51)
    assert torch.equal(first_ten(read_anew), once)
    monkeypatch.setenv("POISE_CACHE", str(tmp_path / "small"))
    monkeypatch.setenv("POISE_CACHE_GB", "6e-5")  # one of the two splits, of 39 kB each
    splits = [SplitIndex.read(lake, made, split) for split in ("train", "test")]
    copies = [NodeCopies(index) for index in splits]
    epochs = []
    for _ in range(2):
        for index, some in zip(splits, copies, strict=True):
            for group in index.groups:
                some.read(group, np.ones(len(index), np.bool_))
        epochs.append({path.stat().st_ino for path in (tmp_path / "small").glob("poses-*/*")})
    assert epochs[0] == epochs[1] != set(), "splits do not push each other's copies out"
    for path in part_paths(lake, made, "sequences", "train"):
        storage.remove(path)
    assert torch.equal(first_ten(kept), once), "of a second epoch nothing is read from S3"
    with pytest.raises(LakeError, match="cannot be read"):
        first_ten(read_anew)
