"""SmoothNet's folders, DeciWatch's, and a user's own: where the files of a track are."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from poise.catalog.tracks import Track
from poise.ingest.sources import checksums, tracks_in, unknown_folders
from poise.readers.layouts import SplitFiles, locate, write_smoothnet
from poise.readers.raw_split import open_split, sources, split_exists
from poise.readers.sequence import PoseSequence
from poise.runtime.errors import CatalogueError, DataError

DRAW = np.random.default_rng(3)
LAB = """
name = "mylab"
fps = 25
files.detected = "{estimator}/{split}/poses.npz"
files.truth = "mocap/{split}.npz"
[[tracks]]
representation = "3D"
estimators = ["*"]
joints = ["a", "b", "c"]
stored = ["c", "extra", "a", "b"]
roots = ["b"]
unit = "mm"
[[tracks]]
representation = "2D"
estimators = ["*"]
joints = ["a", "b", "c"]
pixels = { centre = [960, 540], scale = 960 }
"""


@pytest.fixture(autouse=True)
def my_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POISE_DATASETS_TOML", json.dumps([LAB]))


def save(path: Path, **columns: list[NDArray[Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {}
    for key, column in columns.items():
        arrays[key] = np.empty(len(column), dtype=object)
        for place, entry in enumerate(column):
            arrays[key][place] = entry
    np.savez(path, **arrays)
    return path


def read(data: Path, track: str, split: str = "test") -> list[PoseSequence]:
    rows = list(open_split(data, Track.parse(track), split))
    assert all(isinstance(row, PoseSequence) for row in rows)
    return [row for row in rows if isinstance(row, PoseSequence)]


def deciwatch(data: Path) -> tuple[Path, Path]:
    poses, turns = DRAW.random((9, 51)), DRAW.random((9, 72))
    truth = save(
        data / "groundtruth_poses" / "pw3d" / "pw3d_gt_test.npz", joints_3d=[poses], pose=[turns]
    )
    detected = data / "detected_poses" / "pw3d" / "spin" / "pw3d_spin_test.npz"
    return save(detected, joints_3d=[poses], pose=[turns]), truth


def test_deciwatch_keeps_all_representations_in_one_file(tmp_path: Path) -> None:
    detected, truth = deciwatch(tmp_path)
    track = Track.parse("pw3d/spin/3D")
    assert locate(tmp_path, track, "test") == [SplitFiles(detected, truth)]
    assert sources(tmp_path, track, "test") == [detected, truth]
    assert not split_exists(tmp_path, track, "train")
    [row] = read(tmp_path, "pw3d/spin/3D")
    [turned] = read(tmp_path, "pw3d/spin/smpl")
    assert row.detected_FC.shape == (9, 42)
    assert turned.detected_FC.shape == (9, 144)
    assert turned.truth_FC is not None
    assert list(map(str, tracks_in(tmp_path))) == ["pw3d/spin/3D", "pw3d/spin/smpl"]
    assert unknown_folders(tmp_path, tracks_in(tmp_path)) == []


def test_deciwatch_holds_what_its_keys_say(tmp_path: Path) -> None:
    file = tmp_path / "detected_poses" / "h36m" / "new-net" / "h36m_new-net_train.npz"
    save(file, joints_3d=[DRAW.random((9, 51))])
    assert list(map(str, tracks_in(tmp_path))) == ["h36m/new-net/3D"]


def test_smoothnets_folder_wins_where_there_are_both(tmp_path: Path) -> None:
    deciwatch(tmp_path)
    file = tmp_path / "poses" / "pw3d_spin_3D" / "detected" / "pw3d_spin_3D_test.npz"
    save(file, joints_3d=[DRAW.random((5, 42))])
    assert locate(tmp_path, Track.parse("pw3d/spin/3D"), "test")[0].detected == file


def test_a_missing_track_names_every_place_that_was_tried(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        locate(tmp_path, Track.parse("h36m/fcn/3D"), "test")
    for place in (
        "poses/h36m_fcn_3D/detected/h36m_fcn_3D_test.npz",
        "detected_poses/h36m/fcn/h36m_fcn_test.npz",
    ):
        assert str(tmp_path / place) in str(caught.value)


@pytest.mark.parametrize("above", ["", "poses"])
def test_the_tracks_of_smoothnets_folders(tmp_path: Path, above: str) -> None:
    for folder in ("aist_my_net_3D", "h36m_fcn_3D", "h36m_cpn_2D", "h36m_rle_smpl"):
        save(tmp_path / "poses" / folder / "detected" / f"{folder}_train.npz", x=[])
    save(tmp_path / "poses" / "cmu_noise_3D" / "groundtruth" / "cmu_gt_3D_test.npz", x=[])
    for stranger in ("coco_hrnet_2D", "h36m_new_2D", "empty_x_3D"):
        save(tmp_path / "poses" / stranger / "detected" / f"{stranger}_train.npz", x=[])
    found = tracks_in(tmp_path / above)
    assert list(map(str, found)) == [
        "aist/my_net/3D",
        *(f"cmu/{noise}/3D" for noise in sorted(("gaussian-10", "gaussian-20"))),
        "cmu/simulated/2D",
        "cmu/simulated/3D",
        *(f"cmu/{noise}/3D" for noise in sorted(("uniform-50", "uniform-100"))),
        "h36m/cpn/2D",
        "h36m/fcn/3D",
        "h36m/rle/smpl",
    ]
    strange = unknown_folders(tmp_path, found)
    assert strange == ["poses/coco_hrnet_2D", "poses/empty_x_3D", "poses/h36m_new_2D"]


def test_an_estimator_of_an_impossible_name_is_left_out_with_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("vitpose+", "my net", "zoë", "-net", "n" * 101):
        folder = f"aist_{name}_3D"
        save(tmp_path / "poses" / folder / "detected" / f"{folder}_train.npz", x=[])
    assert list(map(str, tracks_in(tmp_path))) == ["aist/vitpose+/3D"]
    assert caplog.text.count("is not taken: an estimator's name has letters, digits") == 4


def test_a_tracks_own_folder_is_that_track(tmp_path: Path) -> None:
    folder = tmp_path / "h36m_fcn_3D"
    save(folder / "detected" / "h36m_fcn_3D_test.npz", x=[])
    save(folder / "groundtruth" / "h36m_gt_3D_test.npz", x=[])
    assert list(map(str, tracks_in(folder))) == ["h36m/fcn/3D"]


def test_a_folder_without_tracks_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "poses" / "coco_hrnet_2D").mkdir(parents=True)
    with pytest.raises(DataError, match="holds poses/coco_hrnet_2D"):
        tracks_in(tmp_path)
    with pytest.raises(DataError, match="holds nothing"):
        tracks_in(tmp_path / "gone")


def test_a_user_says_where_files_are_and_what_is_in_them(tmp_path: Path) -> None:
    stored_FJ3 = np.broadcast_to(np.array([3.0, 99.0, 1.0, 2.0])[:, None] * 1000, (4, 4, 3))
    pixels = np.tile([960.0, 1500.0], (4, 3))
    save(
        tmp_path / "my.net" / "test" / "poses.npz",
        joints_3d=[stored_FJ3.reshape(4, 12)],
        joints_2d=[pixels],
    )
    save(tmp_path / "mocap" / "test.npz", joints_3d=[stored_FJ3.reshape(4, 12)], joints_2d=[pixels])
    assert list(map(str, tracks_in(tmp_path))) == ["mylab/my.net/2D", "mylab/my.net/3D"]
    [row] = read(tmp_path, "mylab/my.net/3D")
    assert row.detected_FC.reshape(4, 3, 3)[0, :, 0].tolist() == [1.0, 2.0, 3.0]
    assert row.fps == 25
    assert row.truth_FC is not None
    [flat] = read(tmp_path, "mylab/my.net/2D")
    np.testing.assert_allclose(flat.detected_FC, np.tile([0.0, 1.0], (4, 3)))
    with pytest.raises(DataError, match="only 3D tracks in metres"):
        write_smoothnet(tmp_path, Track.parse("mylab/my.net/3D"), "test", [row])


#: A file a sequence, below folders that say whose it is.
MANY = """
name = "many"
imgname = ['(?P<subject>P[0-9]+)/(?P<action>[a-z]+)']
files.detected = "{estimator}/{split}/*/*.npz"
files.truth = "truth/mocap/{split}/*/*.npz"
[[tracks]]
representation = "3D"
estimators = ["*"]
joints = ["a", "b", "c"]
roots = ["b"]
unit = "m"
"""


def test_a_split_may_have_any_number_of_files_and_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POISE_DATASETS_TOML", json.dumps([MANY]))
    for name in ("P2/walk", "P1/sit", "P1/walk"):
        for folder in ("net/test", "truth/mocap/test"):
            file = tmp_path / folder / f"{name}.npz"
            file.parent.mkdir(parents=True, exist_ok=True)
            np.savez(file, joints_3d=DRAW.random((400, 9)))  # one sequence, without an axis
    save(tmp_path / "net/test/P3/both.npz", joints_3d=[DRAW.random((4, 9))] * 2)
    assert list(map(str, tracks_in(tmp_path))) == ["many/net/3D"]
    rows = read(tmp_path, "many/net/3D")
    names = [(row.name, row.subject, row.action, row.truth_FC is None) for row in rows]
    assert names == [
        ("P1/sit", "P1", "sit", False),
        ("P1/walk", "P1", "walk", False),
        ("P2/walk", "P2", "walk", False),
        ("test-00003", "test-00003", None, True),
        ("test-00004", "test-00004", None, True),
    ]
    odd = MANY.replace("mocap/{split}/*", "mocap/{split}")
    monkeypatch.setenv("POISE_DATASETS_TOML", json.dumps([odd]))
    with pytest.raises(CatalogueError, match=r"files\.truth needs as many \* as files\.detected"):
        read(tmp_path, "many/net/3D")


def test_what_a_user_says_of_her_files_is_one_of_their_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path / "net" / "test" / "poses.npz", joints_3d=[DRAW.random((4, 12))])
    track = Track.parse("mylab/net/3D")
    before = checksums(tmp_path, track, ["test"])
    assert [source.path for source in before] == ["net/test/poses.npz", "data set mylab"]
    monkeypatch.setenv("POISE_DATASETS_TOML", json.dumps([LAB.replace("mm", "m")]))
    after = checksums(tmp_path, track, ["test"])
    assert after[0] == before[0]
    assert after[1] != before[1]
    deciwatch(tmp_path)
    assert len(checksums(tmp_path, Track.parse("pw3d/spin/3D"), ["test"])) == 2


def test_a_raw_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    file = tmp_path / "net" / "test" / "poses.npz"
    file.parent.mkdir(parents=True)
    file.symlink_to("/proc/self/mem")  # opens, and reads with an error
    with pytest.raises(DataError, match=r"poses\.npz: cannot be read \(input/output error\)"):
        checksums(tmp_path, Track.parse("mylab/net/3D"), ["test"])


@pytest.mark.parametrize("representation", ["2D", "3D"])
def test_what_simulates_detections_is_one_of_their_sources(
    tmp_path: Path, representation: str
) -> None:
    """Else a lake would keep what an older simulator made."""
    truth = "poses/cmu_noise_3D/groundtruth/cmu_gt_3D_test.npz"
    save(tmp_path / truth, joints_3d=[DRAW.random((4, 51))])
    track = Track.parse(f"cmu/simulated/{representation}")
    found = [source.path for source in checksums(tmp_path, track, ["test"])]
    assert found == [truth, "poise.readers.simulated"]
    gaussian = checksums(tmp_path, Track.parse("cmu/gaussian-10/3D"), ["test"])
    assert [source.path for source in gaussian] == [truth]
