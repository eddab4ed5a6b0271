"""A sound lake has no findings; a lake that is broken in one way has that one."""

import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from tests.support.hand_lake import write_lake
from tests.support.lake_damage import DAMAGES, vectors
from tests.support.lake_rows import read_sequences
from tests.support.tiny_lake import TRACK, write_tiny_lake

from poise.catalog.tracks import Track
from poise.lake.checks.report import Report
from poise.lake.checks.track import check_lake
from poise.readers.sequence import PoseSequence
from poise.readers.synthetic import sequences as synthetic
from poise.runtime import storage
from poise.runtime.errors import LakeError


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lake = tmp_path_factory.mktemp("sound")
    write_tiny_lake(lake)
    return lake


@pytest.fixture
def lake(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "lake"))


def report_of(lake: Path) -> Report:
    (report,) = check_lake(str(lake))
    return report


def test_a_sound_lake_has_no_findings(sound: Path) -> None:
    report = report_of(sound)
    assert report.findings == []
    assert not report.failed
    assert "train: 297 windows, neighbours are training windows" in report.text()


def test_vectors_are_looked_at_where_there_are_some(lake: Path) -> None:
    vectors()(lake)
    report = report_of(lake)
    assert report.findings == []
    assert "297 vectors of the PVD" in report.text()


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_damage_is_found_and_says_where_and_what_to_do(damage: str, lake: Path) -> None:
    level, check, break_it = DAMAGES[damage]
    break_it(lake)
    report = report_of(lake)
    found = [f for f in report.findings if f.check == check]
    assert [f.level for f in found][:1] == [level], report.text()
    assert all(f.where and f.problem for f in report.findings)
    assert all(f.advice or f.check == "manifest" for f in report.findings)
    assert report.failed == (level == "error" or any(f.level == "error" for f in report.findings))


@pytest.mark.parametrize("damage", ["nan", "frozen", "same", "own-subject", "no-such-neighbour"])
def test_one_damage_is_one_finding(damage: str, lake: Path) -> None:
    DAMAGES[damage][2](lake)
    assert len(report_of(lake).findings) == 1


def test_the_first_bad_sequence_is_named(lake: Path) -> None:
    name = str(read_sequences(lake, TRACK, "train").column("sequence")[0])
    DAMAGES["nan"][2](lake)
    (finding,) = report_of(lake).findings
    assert name in finding.where
    assert "split=train/part-00000-" in finding.where


def poses_of(track: Track, values_FC: Any, lake: Path) -> Report:
    """Check a lake of one sequence, whose truth is the same plus a little."""
    values = values_FC.astype(np.float32)
    one = PoseSequence("a", "S1", None, None, None, values, values * np.float32(0.999))
    write_lake(lake, track, {"test": [one]})
    return report_of(lake)


def test_rotations_are_two_columns_row_by_row(tmp_path: Path) -> None:
    track = Track.parse("aist/spin/smpl")
    turned = Rotation.random(20 * 24, rng=0).as_matrix()[:, :, :2]
    assert poses_of(track, turned.reshape(20, 144), tmp_path / "rows").findings == []
    report = poses_of(track, turned.transpose(0, 2, 1).reshape(20, 144), tmp_path / "columns")
    assert {f.check for f in report.findings} == {"rotations"}
    assert report.failed


def test_pixels_must_be_normalised(tmp_path: Path) -> None:
    track = Track.parse("h36m/hourglass/2D")
    poses = np.random.default_rng(0).normal(size=(20, 32))
    assert poses_of(track, poses, tmp_path / "normal").findings == []
    report = poses_of(track, poses * 500 + 500, tmp_path / "pixels")
    assert {f.check for f in report.findings} == {"units"}


def test_joints_that_nobody_saw_are_no_positions(tmp_path: Path) -> None:
    made = list(synthetic.sequences("test", synthetic.Size(1, 1, 20)))
    poses = made[0].detected_FC.reshape(20, 17, 3) + np.float32(2)
    assert not poses_of(TRACK, poses.reshape(20, 51), tmp_path / "seen").failed
    poses[5:9, 13] = 0
    report = poses_of(TRACK, poses.reshape(20, 51), tmp_path / "zeros")
    assert "missing" in {f.check for f in report.findings if f.level == "error"}
    assert report.failed


def test_short_and_single_frames_are_sound(tmp_path: Path) -> None:
    made = list(synthetic.sequences("test", synthetic.Size(1, 3, 20)))
    cut = [
        replace(one, detected_FC=one.detected_FC[:n], truth_FC=one.truth_FC[:n])
        for n, one in zip((1, 2, 9), made, strict=True)
        if one.truth_FC is not None
    ]
    write_lake(tmp_path, TRACK, {"test": cut})
    assert report_of(tmp_path).findings == []


def test_files_nobody_names_are_a_note(lake: Path) -> None:
    folder = lake / "uiprmd/kinect-3D/windows/split=train"
    (folder / "part-00007-0123456789ab.parquet").write_bytes(b"left over")
    report = report_of(lake)
    assert [(f.level, f.check) for f in report.findings] == [("note", "left-over")]
    assert not report.failed


def test_a_track_the_catalogue_does_not_know_is_a_finding(lake: Path) -> None:
    (lake / "uiprmd").rename(lake / "nobodys")
    report = report_of(lake)
    assert report.failed
    assert "nobodys" in report.findings[0].problem


def test_a_lake_elsewhere_reads_the_same(sound: Path) -> None:
    uri = "memory://check/lake"
    for file in sound.rglob("*.*"):
        storage.write_bytes(storage.join(uri, *file.relative_to(sound).parts), file.read_bytes())
    (there,), here = check_lake(uri), report_of(sound)
    assert asdict(there) == asdict(here)


def test_what_is_not_there_is_refused(sound: Path, tmp_path: Path) -> None:
    with pytest.raises(LakeError, match="no lake"):
        check_lake(str(tmp_path))
    with pytest.raises(LakeError, match="it has uiprmd/kinect/3D"):
        check_lake(str(sound), ["cmu/gaussian-10/3D"])
