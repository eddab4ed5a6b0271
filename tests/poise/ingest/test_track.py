"""An ingested track with real Ray and a real Milvus Lite: every row is right."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.support.ingested_track import (
    TRACK,
    Lines,
    check_neighbours,
    neighbour_arrays,
    people,
)
from tests.support.ingesting import ingest
from tests.support.lake_rows import read_sequences, read_windows

from poise.catalog.splits import SPLITS
from poise.catalog.tracks import Track
from poise.lake.checks.track import check_track
from poise.lake.ids import decode, sequence_ids
from poise.lake.manifest import (
    Manifest,
)
from poise.pvd.collection import pvd_store
from poise.readers.layouts import write_smoothnet
from poise.readers.sequence import PoseSequence
from poise.readers.synthetic.sequences import Size, sequences
from poise.runtime.settings import Settings
from poise_retrieval.errors import StoreUnavailableError
from poise_retrieval.milvus.store import PoseStore

pytestmark = pytest.mark.usefixtures("told")


def test_every_row_is_right(data: Path, tmp_path: Path, milvus: str) -> None:
    manifest = ingest(TRACK, data=data, lake=tmp_path / "lake", milvus_uri=milvus)
    train, test = manifest.splits["train"], manifest.splits["test"]
    assert (train.read, train.sequences, train.quarantined) == (6, 6, 0)
    assert (train.frames, train.windows) == (5 + 5 * 24, 1 + 5 * 17)
    assert (test.sequences, test.windows) == (2, 1 + 17)
    assert manifest.quarantined == []
    assert len(manifest.sources) == 4

    table = read_sequences(tmp_path / "lake", TRACK, "train")
    by_name = {sequence.name: sequence for sequence in people("train")}
    assert table.column("sequence").to_pylist() == sorted(by_name)
    for row in table.to_pylist():
        sequence = by_name[row["sequence"]]
        np.testing.assert_array_equal(row["detected"], sequence.detected_FC)
        np.testing.assert_array_equal(row["truth"], sequence.truth_FC)
        name = row["sequence"]
        assert row["sequence_id"] == sequence_ids(TRACK, "train", [name])[name]
        assert row["subject"] == sequence.subject
    assert manifest.pvd is not None
    with pvd_store(Settings.load(home=tmp_path, milvus_uri=milvus)) as uri:
        store = PoseStore(uri)
        assert store.resolve("pvd_uiprmd_kinect_3D") == manifest.pvd.collection
        assert store.count("pvd_uiprmd_kinect_3D") == train.windows == manifest.pvd.rows
        stored = np.concatenate([ids for ids, _, _ in store.rows(manifest.pvd.collection)])
    windows = read_windows(tmp_path / "lake", TRACK, "train")
    assert sorted(stored) == sorted(windows.column("window_id").to_numpy())
    check_neighbours(tmp_path / "lake")
    report = check_track(str(tmp_path / "lake"), str(TRACK))
    assert "86 vectors of the PVD" in report.text()
    assert not report.failed


def test_takes_may_be_left_out_instead_of_subjects(data: Path, tmp_path: Path, milvus: str) -> None:
    folder, said = tmp_path / "lake", Lines()
    made = people("train")
    made.append(replace(made[1], name=made[1].name[:-1] + "9"))  # the same again, another take
    write_smoothnet(data, TRACK, "train", made)
    manifest = ingest(TRACK, data=data, lake=folder, milvus_uri=milvus, exclude="take")
    assert manifest.pvd is not None
    assert manifest.pvd.exclude == "take"
    check_neighbours(folder, apart="sequence_id")
    ids, _ = neighbour_arrays(windows := read_windows(folder, TRACK, "train"))
    subject_of = dict(
        zip(*(windows.column(n).to_pylist() for n in ("sequence_id", "subject")), strict=True)
    )
    own = [
        [subject_of[decode(found)[0]] == subject for found in row]
        for row, subject in zip(ids.tolist(), windows.column("subject").to_pylist(), strict=True)
    ]
    assert np.any(own), "the weaker rule made no difference"

    report = check_track(str(folder), str(TRACK))
    assert not [finding for finding in report.findings if finding.level == "error"]
    assert "exclude" in {finding.check for finding in report.findings}

    ingest(TRACK, data=data, lake=folder, milvus_uri=milvus, exclude="take", report=said.append)
    assert said.said("up to date")
    said.clear()
    again = ingest(TRACK, data=data, lake=folder, milvus_uri=milvus, report=said.append)
    assert said.said("exclude the own take, not the subject")
    assert again.pvd is not None
    assert again.pvd.exclude == "subject"
    check_neighbours(folder)


def test_one_subject_gets_no_neighbours(tmp_path: Path, milvus: str) -> None:
    alone = list(sequences("train", Size(1, 2, 20)))
    write_smoothnet(tmp_path / "data", TRACK, "train", alone)
    said = Lines()
    place = tmp_path / "lake"
    manifest = ingest(
        TRACK, data=tmp_path / "data", lake=place, milvus_uri=milvus, report=said.append
    )
    assert said.said("one training subject")
    assert list(manifest.splits) == ["train"]
    ids, distances = neighbour_arrays(read_windows(place, TRACK, "train"))
    assert (ids == -1).all()
    assert np.isinf(distances).all()


@pytest.mark.parametrize(
    ("name", "truth", "reason"),
    [("uiprmd/kinect/3D", False, "no ground truth"), ("unmapped/net/3D", True, "joint order")],
)
def test_a_track_without_a_pvd(tmp_path: Path, name: str, truth: bool, reason: str) -> None:
    track = Track.parse(name)
    for split in SPLITS:
        made = [
            PoseSequence(**{**vars(one), "truth_FC": one.truth_FC if truth else None})
            for one in people(split)
        ]
        write_smoothnet(tmp_path / "data", track, split, made)
    said = Lines()
    place = tmp_path / "lake"
    nobody = "http://127.0.0.1:1"
    manifest = ingest(
        track,
        data=tmp_path / "data",
        lake=place,
        milvus_uri=nobody,
        report=said.append,
    )
    assert manifest.pvd is None
    assert said.said(reason)
    assert manifest.splits["train"].truth is truth
    windows = read_windows(place, track, "test")
    assert windows.num_rows == 18
    assert (neighbour_arrays(windows)[0] == -1).all()
    assert ingest(track, data=tmp_path / "data", lake=place, milvus_uri=nobody) == manifest


def test_a_milvus_that_is_not_there_is_told_before_anything_is_read(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("poise.pvd.collection._FIRST_PATIENCE_S", 0.5)
    said = Lines()
    with pytest.raises(StoreUnavailableError, match="--milvus-uri"):
        ingest(
            TRACK,
            data=data,
            lake=tmp_path / "lake",
            milvus_uri="http://127.0.0.1:1",
            report=said.append,
        )
    assert said == []


def test_smpl_is_looked_up_by_raw_values(tmp_path: Path, milvus: str) -> None:
    track = Track.parse("pw3d/spin/smpl")
    random = np.random.default_rng(0)
    for split, subjects in (("train", 3), ("test", 1)):
        poses = np.empty(subjects, object)
        names = np.empty(subjects, object)
        for person in range(subjects):
            poses[person] = random.normal(size=(12, 72)).astype(np.float32)
            names[person] = [f"{split}_walk_0{person}/image_{frame:05d}.jpg" for frame in range(12)]
        for kind, who in (("detected", "spin"), ("groundtruth", "gt")):
            file = tmp_path / "pw3d_spin_smpl" / kind / f"pw3d_{who}_smpl_{split}.npz"
            file.parent.mkdir(parents=True, exist_ok=True)
            np.savez(file, imgname=names, pose=poses)
    manifest = ingest(track, data=tmp_path, lake=tmp_path / "lake", milvus_uri=milvus)
    assert manifest.pvd is not None
    assert manifest.pvd.width == 2 * 144
    assert (manifest.splits["train"].windows, manifest.pvd.rows) == (15, 15)


@pytest.mark.slow
def test_real_motion(tmp_path: Path, milvus: str) -> None:
    folder = os.environ.get("POISE_DATA")
    if not folder:
        pytest.skip("POISE_DATA is not set")
    manifest: Manifest = ingest(
        TRACK, data=Path(folder).resolve(), lake=tmp_path / "lake", milvus_uri=milvus
    )
    train, test = manifest.splits["train"], manifest.splits["test"]
    assert (train.sequences, train.frames, train.windows) == (1001, 70_508, 63_501)
    assert (test.sequences, test.frames, test.windows) == (360, 26_425, 23_905)
    assert test.subjects == ["S2", "S7"]
    windows = read_windows(tmp_path / "lake", TRACK, "train")
    ids, distances = neighbour_arrays(windows)
    owner = dict(zip(windows["window_id"].to_pylist(), windows["subject"].to_pylist(), strict=True))
    found = np.vectorize(owner.__getitem__)(ids)
    assert not (found == windows["subject"].to_numpy()[:, None]).any()
    assert (np.diff(distances, axis=1) >= 0).all()
