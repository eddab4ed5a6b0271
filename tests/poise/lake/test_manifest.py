"""The manifest of a track: written, read, refused."""

import dataclasses
import json
from pathlib import Path

import pytest
from tests.support.lake_rows import read_sequences, read_windows

from poise.catalog.tracks import Track
from poise.lake.manifest import (
    SCHEMA_VERSION,
    Manifest,
    Pvd,
    Quarantined,
    Source,
    SplitSummary,
    check_name,
    has_track,
    manifest_hash,
    pvd_alias,
    read_manifest,
    track_folder,
    tracks_in,
    write_manifest,
)
from poise.runtime import storage
from poise.runtime.errors import LakeError

TRACK = Track.parse("uiprmd/kinect/3D")


def a_manifest(**changes: object) -> Manifest:
    split = SplitSummary(3, 2, 1, 30, 16, True, ["S1", "S2"], ["part-00000-a.parquet"], [])
    base = Manifest(
        schema_version=SCHEMA_VERSION,
        poise_version="1",
        track=str(TRACK),
        representation="3D",
        joints=17,
        dims=3,
        window=8,
        fps=None,
        splits={"train": split},
        sources=[Source("a.npz", 3, "ff")],
        quarantined=[Quarantined("train", "a.npz", "s", "joints_3d", "NaN")],
        pvd=Pvd("pvd_x_1", "pvd_x", 84, 16, "L2", 1.0),
    )
    return dataclasses.replace(base, **changes)  # type: ignore[arg-type]


def test_the_manifest_comes_back(tmp_path: Path) -> None:
    write_manifest(tmp_path, a_manifest())
    assert read_manifest(tmp_path, TRACK) == a_manifest()
    assert has_track(tmp_path, TRACK)
    assert tracks_in(tmp_path) == [str(TRACK)]
    without = a_manifest(pvd=None, fps=29.97)
    write_manifest(tmp_path, without)
    assert read_manifest(tmp_path, TRACK) == without


def test_the_hash_is_of_the_rows() -> None:
    known = manifest_hash(a_manifest())
    assert manifest_hash(a_manifest(poise_version="2", pvd=None)) == known
    split = dataclasses.replace(a_manifest().splits["train"], sequences_parts=["part-00000-b"])
    assert manifest_hash(a_manifest(splits={"train": split})) != known


def test_a_missing_track_names_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(LakeError, match=r"no track yet.*poise ingest --track uiprmd/kinect/3D"):
        read_manifest(tmp_path, TRACK)
    write_manifest(tmp_path, a_manifest())
    with pytest.raises(LakeError, match="it has uiprmd/kinect/3D"):
        read_sequences(tmp_path, Track.parse("h36m/fcn/3D"), "train")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 99}, "schema version 99"),
        ({"splits": 3}, "not a manifest"),
        ({"schema_version": None}, "schema version None"),
    ],
)
def test_a_strange_manifest_is_refused(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    write_manifest(tmp_path, a_manifest())
    path = storage.join(track_folder(tmp_path, TRACK), "manifest.json")
    storage.write_bytes(path, json.dumps(json.loads(storage.read_bytes(path)) | change).encode())
    with pytest.raises(LakeError, match=message):
        read_manifest(tmp_path, TRACK)
    storage.write_bytes(path, b"{")
    with pytest.raises(LakeError, match="not a manifest"):
        read_manifest(tmp_path, TRACK)


def test_a_part_that_is_gone_says_so(tmp_path: Path) -> None:
    write_manifest(tmp_path, a_manifest())
    with pytest.raises(LakeError, match=r"part-00000-a\.parquet.*--force"):
        read_sequences(tmp_path, TRACK, "train")


def test_a_split_without_parts_is_an_empty_table(tmp_path: Path) -> None:
    split = dataclasses.replace(a_manifest().splits["train"], sequences_parts=[])
    write_manifest(tmp_path, a_manifest(splits={"train": split}))
    for table in (
        read_sequences(tmp_path, TRACK, "train"),
        read_windows(tmp_path, TRACK, "train"),
    ):
        assert table.num_rows == 0
        assert table.schema.names[0] in ("sequence_id", "window_id")


def test_alias_names_are_good_for_milvus() -> None:
    assert pvd_alias(TRACK) == "pvd_uiprmd_kinect_3D"
    assert pvd_alias(Track.parse("h36m/my-net.v2/3D")) == "pvd_h36m_my__2dnet__2ev2_3D"


def test_a_name_that_differs_in_case_alone_is_taken(tmp_path: Path) -> None:
    write_manifest(tmp_path, a_manifest())
    check_name(tmp_path, TRACK)
    check_name(tmp_path, Track.parse("uiprmd/kinect2/3D"))
    with pytest.raises(LakeError, match=r"has uiprmd/kinect/3D already.*only in case"):
        check_name(tmp_path, Track.parse("uiprmd/Kinect/3D"))


def test_another_tracks_manifest_is_not_taken_for_ones_own(tmp_path: Path) -> None:
    write_manifest(tmp_path, a_manifest())
    theirs = Track.parse("uiprmd/Kinect/3D")
    # As on a disk that does not tell upper from lower case.
    Path(track_folder(tmp_path, TRACK)).rename(track_folder(tmp_path, theirs))
    with pytest.raises(LakeError, match="is of uiprmd/kinect/3D, in the folder of uiprmd/Kinect"):
        read_manifest(tmp_path, theirs)
