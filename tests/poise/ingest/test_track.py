"""Ingest with real Ray and a real Milvus Lite: rows, repetition, interruption, faults."""

import os
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from tests.support.door import Door
from tests.support.ingesting import ensure_ingested, ingest
from tests.support.lake_rows import read_sequences, read_windows
from tests.support.ray_cluster import KNOWS_UNMAPPED

from poise.catalog.splits import SPLITS, Split
from poise.catalog.tracks import Track
from poise.ingest import track as ingesting
from poise.lake.checks.track import check_track
from poise.lake.ids import decode, sequence_ids
from poise.lake.manifest import (
    Manifest,
    has_track,
    manifest_hash,
    pvd_alias,
    read_manifest,
    track_folder,
)
from poise.lake.poses import gather_windows, pose_frames
from poise.lake.windows import neighbours_of
from poise.pvd.collection import pvd_store
from poise.readers.layouts import write_smoothnet
from poise.readers.sequence import PoseSequence
from poise.readers.synthetic.sequences import Size, sequences
from poise.runtime import storage
from poise.runtime.errors import BusyError, DataError
from poise.runtime.locks import exclusive
from poise.runtime.settings import Settings
from poise.training_data.split import load_split
from poise_retrieval.errors import StoreUnavailableError
from poise_retrieval.geometry.embedding import embed
from poise_retrieval.milvus.store import PoseStore

TRACK = Track.parse("uiprmd/kinect/3D")
SIZES = {"train": Size(3, 2, 24), "test": Size(1, 2, 24)}


@pytest.fixture(autouse=True)
def told(cluster: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process know the data sets that the workers know."""
    for name, value in KNOWS_UNMAPPED.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def milvus(lite_uri: str, cluster: None) -> str:
    return lite_uri


def people(split: str) -> list[PoseSequence]:
    made = list(sequences(split, SIZES[split]))
    short = made[0]
    made[0] = PoseSequence(
        **{
            **vars(short),
            "detected_FC": short.detected_FC[:5],
            "truth_FC": None if short.truth_FC is None else short.truth_FC[:5],
        }
    )
    return made


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for split in SPLITS:
        write_smoothnet(tmp_path / "data", TRACK, split, people(split))
    return tmp_path / "data"


class Lines(list[str]):
    """A report that remembers."""

    def said(self, text: str) -> bool:
        return any(text in line for line in self)


def tables(folder: Path, track: Track = TRACK) -> dict[str, pa.Table]:
    return {
        f"{read.__name__} {split}": read(folder, track, split)
        for read in (read_sequences, read_windows)
        for split in SPLITS
    }


def neighbour_arrays(table: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    found = neighbours_of(table)
    return found.ids_BK, found.distances_BK


def files(folder: Path) -> dict[str, int]:
    found = sorted(folder.rglob("part-*.parquet"))
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in found}


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


def check_neighbours(folder: Path, apart: str = "subject") -> None:
    """Against brute force over the frames in the lake."""
    bank = windows_of(folder, "train", "truth")
    train = read_windows(folder, TRACK, "train")
    ids, groups = (train.column(name).to_numpy() for name in ("window_id", apart))
    for split in SPLITS:
        asked = read_windows(folder, TRACK, split)
        gaps = windows_of(folder, split, "detected")[:, None] - bank[None]
        squared = np.square(gaps).sum(-1)
        if split == "train":
            squared[asked.column(apart).to_numpy()[:, None] == groups[None]] = np.inf
        found, distances = neighbour_arrays(asked)
        np.testing.assert_allclose(distances, np.sort(squared, 1)[:, :3], rtol=1e-4, atol=1e-5)
        place = {window: index for index, window in enumerate(ids.tolist())}
        columns = np.vectorize(place.__getitem__)(found)
        there = np.take_along_axis(squared, columns, 1)
        np.testing.assert_allclose(there, distances, rtol=1e-4, atol=1e-5)


def windows_of(folder: Path, split: Split, column: str) -> np.ndarray:
    table = read_sequences(folder, TRACK, split)
    frames = pose_frames(table, column)  # type: ignore[arg-type]
    assert frames is not None
    lengths = table.column("frames").to_numpy().astype(np.int64)
    vectors = [embed(some, "h36m17", "3D").numpy() for some in gather_windows(frames, lengths)]
    return np.concatenate(vectors)


def test_again_changes_nothing(data: Path, tmp_path: Path, milvus: str) -> None:
    place = tmp_path / "lake"
    first = ingest(TRACK, data=data, lake=place, milvus_uri=milvus)
    before, written = tables(place), files(place)

    said = Lines()
    assert ingest(TRACK, data=data, lake=place, milvus_uri=milvus, report=said.append) == first
    assert said == [f"{TRACK}: up to date, {ingesting.in_words(first)}"]
    assert files(place) == written

    forced = ingest(TRACK, data=data, lake=place, milvus_uri=milvus, force=True)
    assert forced.pvd is not None
    assert tables(place) == before
    assert files(place).keys() == written.keys()
    assert manifest_hash(forced) == manifest_hash(first)
    assert collections_of(milvus) == [forced.pvd.collection]
    assert PoseStore(milvus).resolve(pvd_alias(TRACK)) == collections_of(milvus)[0]


def collections_of(uri: str) -> list[str]:
    return [name for name in PoseStore(uri).list() if name.startswith(pvd_alias(TRACK))]


def test_changed_files_are_seen_and_old_parts_go(data: Path, tmp_path: Path, milvus: str) -> None:
    place = tmp_path / "lake"
    ingest(TRACK, data=data, lake=place, milvus_uri=milvus)
    write_smoothnet(data, TRACK, "train", people("train")[:4])
    said = Lines()
    manifest = ingest(TRACK, data=data, lake=place, milvus_uri=milvus, report=said.append)
    assert said.said("raw files changed")
    assert manifest.splits["train"].sequences == 4
    assert len(files(place)) == 4
    assert read_sequences(place, TRACK, "train").num_rows == 4


def test_a_lost_pvd_is_made_anew_from_the_lake(data: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    first = ingest(TRACK, data=data, home=home)
    before = tables(home / "lake")
    (home / "pvd").rename(home / "gone")
    said = Lines()
    again = ingest(TRACK, data=data, home=home, report=said.append)
    assert said.said("PVD is not there")
    assert not said.said("reading")
    assert tables(home / "lake") == before
    assert manifest_hash(again) == manifest_hash(first)


def test_without_a_pvd_first_and_with_one_later(data: Path, tmp_path: Path, milvus: str) -> None:
    place, nobody = tmp_path / "lake", "http://127.0.0.1:1"
    said = Lines()

    def again(uri: str, *, pvd: bool) -> Manifest:
        said.clear()
        return ingest(TRACK, data=data, lake=place, milvus_uri=uri, pvd=pvd, report=said.append)

    bare = again(nobody, pvd=False)
    assert bare.pvd is None
    assert said.said("--no-pvd")
    sequences_before = files(place / "uiprmd" / "kinect-3D" / "sequences")
    for split in SPLITS:
        windows = read_windows(place, TRACK, split)
        assert windows.num_rows == bare.splits[split].windows
        assert (neighbour_arrays(windows)[0] == -1).all()
        assert load_split(place, TRACK, split).neighbours is None
    assert again(nobody, pvd=False) == bare
    assert said == [f"{TRACK}: up to date, {ingesting.in_words(bare)}"]
    kept = Lines()
    assert ensure_ingested(TRACK, lake=place, milvus_uri=nobody, report=kept.append) == bare
    assert kept.said("get no neighbours")

    whole = again(milvus, pvd=True)
    assert whole.pvd is not None
    assert said.said("it has no PVD yet; adding it")
    assert not said.said("reading")
    assert files(place / "uiprmd" / "kinect-3D" / "sequences") == sequences_before
    check_neighbours(place)
    assert load_split(place, TRACK, "train").neighbours is not None
    assert again(nobody, pvd=False) == whole


def test_an_interrupted_ingest_leaves_the_old_track_and_is_finished_later(
    data: Path, tmp_path: Path, milvus: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "lake"
    ingest(TRACK, data=data, lake=place, milvus_uri=milvus)
    before = tables(place)
    write_smoothnet(data, TRACK, "train", people("train")[:4])

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ingesting, "write_manifest", die)
        with pytest.raises(KeyboardInterrupt):
            ingest(TRACK, data=data, lake=place, milvus_uri=milvus)
    assert tables(place) == before

    manifest = ingest(TRACK, data=data, lake=place, milvus_uri=milvus)
    assert manifest.splits["train"].sequences == 4
    assert len(files(place)) == 4
    assert len(collections_of(milvus)) == 1
    check_neighbours(place)


def test_one_ingest_of_a_track_at_a_time(data: Path, tmp_path: Path, milvus: str) -> None:
    place = tmp_path / "lake"
    with exclusive(track_folder(place, TRACK)), pytest.raises(BusyError):
        ingest(TRACK, data=data, lake=place, milvus_uri=milvus)


def test_bad_sequences_are_left_out_and_named(data: Path, tmp_path: Path, milvus: str) -> None:
    made = people("train")
    made[3].detected_FC[:, 5] = np.inf
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
            sequence.detected_FC[:, 0] = np.nan
        write_smoothnet(data, TRACK, split, made)
    with pytest.raises(DataError, match="none of its 8 sequences"):
        ingest(TRACK, data=data, lake=tmp_path / "lake", milvus_uri=milvus)
    assert not has_track(tmp_path / "lake", TRACK)


def test_a_damaged_file_is_one_clear_error(data: Path, tmp_path: Path, milvus: str) -> None:
    file = next(data.rglob("detected/*_train.npz"))
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"uiprmd_kinect_3D_train\.npz"):
        ingest(TRACK, data=data, lake=tmp_path / "lake", milvus_uri=milvus)


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


def test_a_lake_behind_a_uri(data: Path, tmp_path: Path, milvus: str) -> None:
    place = (tmp_path / "lake").as_uri()
    manifest = ingest(TRACK, data=data, lake=place, milvus_uri=milvus)
    assert ensure_ingested(TRACK, lake=place, milvus_uri=milvus) == manifest
    assert storage.list_dir(storage.join(place, "uiprmd", "kinect-3D")) == [
        "lock", "manifest.json", "sequences", "windows",
    ]  # fmt: skip


def test_ensuring_needs_data_or_a_lake(data: Path, tmp_path: Path, milvus: str) -> None:
    place = tmp_path / "lake"
    with pytest.raises(DataError, match="POISE_DATA"):
        ensure_ingested(TRACK, lake=place, milvus_uri=milvus)
    made = ensure_ingested(TRACK, data=data, lake=place, milvus_uri=milvus)
    said = Lines()
    assert ensure_ingested(TRACK, lake=place, milvus_uri=milvus, report=said.append) == made
    assert said.said("as it is")


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
