"""Schemas, parts, manifest and reading of the lake, without Ray."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.dataset
import pytest
from numpy.typing import NDArray
from tests.support.lake_rows import read_sequences, read_windows, write_rows

from poise.catalog.tracks import Track
from poise.ingest.split_writer import write_split
from poise.lake.manifest import (
    SCHEMA_VERSION,
    Manifest,
    Pvd,
    Quarantined,
    Source,
    SplitSummary,
    has_track,
    manifest_hash,
    pvd_alias,
    read_manifest,
    track_folder,
    tracks_in,
    write_manifest,
)
from poise.lake.parts import read_part
from poise.lake.poses import POSES, pose_frames
from poise.lake.schemas import sequence_schema, sequence_table
from poise.readers.layouts import write_smoothnet
from poise.readers.sequence import PoseSequence
from poise.readers.synthetic.sequences import Size, sequences
from poise.runtime import storage
from poise.runtime.errors import LakeError

TRACK = Track.parse("uiprmd/kinect/3D")


def a_sequence(name: str, frames: int, truth: bool = True, width: int = 51) -> PoseSequence:
    rng = np.random.default_rng(abs(hash((name, frames))) % 2**32)
    detected = rng.normal(size=(frames, width)).astype(np.float32)
    return PoseSequence(name, "S1", None, "squat", 30.0, detected, detected + 1 if truth else None)


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


def test_poses_survive_the_table_and_the_file(tmp_path: Path) -> None:
    given_ = [a_sequence("a", 3), a_sequence("b", 20), a_sequence("c", 8)]
    table = sequence_table([1, 2, 3], given_)
    name = write_rows(str(tmp_path), table)
    back = read_part(str(tmp_path / name))
    assert back.equals(table)
    assert back.schema.equals(sequence_schema(51))
    for pose in POSES:
        poses = [getattr(sequence, f"{pose}_FC") for sequence in given_]
        np.testing.assert_array_equal(pose_frames(back, pose), np.concatenate(poses))


def test_missing_truth_is_null(tmp_path: Path) -> None:
    table = sequence_table([1, 2], [a_sequence("a", 3), a_sequence("b", 4, truth=False)])
    back = read_part(str(tmp_path / write_rows(str(tmp_path), table)))
    assert back.column("truth").is_null().to_pylist() == [False, True]
    assert pose_frames(back, "truth") is None
    detected = pose_frames(back, "detected")
    assert detected is not None
    assert detected.shape == (7, 51)


def test_other_readers_can_read_a_part(tmp_path: Path) -> None:
    sequence = a_sequence("a", 3)
    name = write_rows(str(tmp_path), sequence_table([7], [sequence]))
    frame = pd.read_parquet(tmp_path / name)
    assert frame.loc[0, "sequence_id"] == 7
    poses: list[NDArray[np.float32]] = list(frame["detected"].iloc[0])
    np.testing.assert_array_equal(np.stack(poses), sequence.detected_FC)
    assert pyarrow.dataset.dataset(tmp_path, format="parquet").count_rows() == 1


def test_parts_are_named_by_their_content(tmp_path: Path) -> None:
    one, other = (sequence_table([7], [a_sequence(name, 3)]) for name in "ab")
    first = write_rows(str(tmp_path), one)
    assert write_rows(str(tmp_path), one) == first
    assert write_rows(str(tmp_path), other) != first
    assert first.startswith("part-00000-")


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
    with pytest.raises(LakeError, match=r"no track yet.*jobs/ingest\.py --track uiprmd/kinect/3D"):
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


def test_rows_do_not_depend_on_the_order_of_the_raw_file(tmp_path: Path) -> None:
    made = list(sequences("train", Size(2, 3, 20)))
    parts = []
    for name, order in (("a", made), ("b", made[::-1])):
        write_smoothnet(tmp_path / name, TRACK, "train", order)
        intake = write_split(tmp_path / name, TRACK, str(tmp_path / f"lake-{name}"), "train")
        parts.append(intake.parts)
    assert parts[0] == parts[1]


def test_a_bad_sequence_is_quarantined(tmp_path: Path) -> None:
    made = list(sequences("train", Size(2, 3, 20)))
    made[1].detected_FC[5, 7] = np.nan
    write_smoothnet(tmp_path, TRACK, "train", made)
    intake = write_split(tmp_path, TRACK, str(tmp_path / "lake"), "train")
    assert (intake.read, intake.sequences, len(intake.quarantined)) == (6, 5, 1)
    left_out = intake.quarantined[0]
    assert left_out.file.startswith("poses/uiprmd_kinect_3D/detected/")
    assert left_out.key == "joints_3d"
    assert "NaN" in left_out.reason


def test_alias_names_are_good_for_milvus() -> None:
    assert pvd_alias(TRACK) == "pvd_uiprmd_kinect_3D"
    assert pvd_alias(Track.parse("h36m/my-net.v2/3D")) == "pvd_h36m_my_net_v2_3D"
