"""The catalogue: every track of the literature, and what a user's file may and may not say."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from poise.catalog import datasets
from poise.catalog.datasets import read_dataset
from poise.catalog.tracks import Track, catalogue
from poise.readers.units import stored_widths
from poise.runtime.errors import CatalogueError, TrackError
from poise.runtime.settings import Settings
from poise_retrieval.geometry.embedding import embed, embedding_width

LAB = """
name = "mylab"
fps = 25
imgname = ['(?P<subject>P\\d+)/(?P<action>[^/]+)']
[[tracks]]
representation = "3D"
estimators = ["*"]
skeleton = "h36m17"
roots = ["pelvis"]
unit = "mm"
"""
HIPS, ANKLE_KNEE, PELVIS, MPI_PELVIS = (2, 3), (2, 3), (0,), (14,)
J14, H17, H16, MPI, JHMDB, SMPL = "j14", "h36m17", "h36m16", "mpi17", "jhmdb15", None

#: track: skeleton, C, roots, stored widths, splits, MPJPE and Accel of the raw poses.
PUBLISHED: dict[str, tuple[str | None, int, tuple[int, ...], set[int], str, object, object]] = {
    "aist/spin/3D": (J14, 42, HIPS, {42}, "train test", 107.17, 33.19),
    "aist/tcmr/3D": (J14, 42, HIPS, {42}, "train test", 106.72, 6.40),
    "aist/vibe/3D": (J14, 42, HIPS, {42}, "train test", 106.90, 31.64),
    "aist/spin/smpl": (SMPL, 144, (), {72}, "train test", 107.72, 33.21),
    "aist/tcmr/smpl": (SMPL, 144, (), {72}, "test", 106.95, 6.47),
    "aist/vibe/smpl": (SMPL, 144, (), {72}, "train test", 107.41, 31.65),
    "h36m/fcn/3D": (H17, 51, PELVIS, {51}, "train test", 54.55, 19.17),
    "h36m/rle/3D": (H17, 51, PELVIS, {51}, "test", 48.87, 7.75),
    "h36m/tcmr/3D": (J14, 42, HIPS, {42}, "test", 73.57, 3.77),
    "h36m/vibe/3D": (J14, 42, HIPS, {42}, "test", 78.10, 15.81),
    "h36m/videoposet27/3D": (H17, 51, PELVIS, {51}, "test", 50.13, 3.53),
    "h36m/videoposet81/3D": (H17, 51, PELVIS, {51}, "test", 48.97, 3.06),
    "h36m/videoposet243/3D": (H17, 51, PELVIS, {51}, "test", 48.11, 2.82),
    "h36m/ppt/3D": (H17, 51, PELVIS, {51}, "", 25.16, 11.60),
    "h36m/mix/3D": (H17, 51, PELVIS, {51}, "", None, None),
    "h36m/gaussian-10/3D": (H17, 51, PELVIS, {51}, "", 65.6, 160.3),
    "h36m/gaussian-20/3D": (H17, 51, PELVIS, {51}, "", 131.1, 320.5),
    "h36m/uniform-50/3D": (H17, 51, PELVIS, {51}, "", 94.8, 231.3),
    "h36m/uniform-100/3D": (H17, 51, PELVIS, {51}, "", 189.5, 462.7),
    "h36m/cpn/2D": (H17, 34, (), {34}, "test", 6.67, 2.91),
    "h36m/hourglass/2D": (H16, 32, (), {32}, "train test", 9.42, 1.54),
    "h36m/hrnet/2D": (H16, 32, (), {32}, "test", 4.59, 1.01),
    "h36m/rle/2D": (H16, 32, (), {32}, "test", 5.14, 0.90),
    "mpiinf3dhp/spin/3D": (MPI, 51, MPI_PELVIS, {51}, "test", 100.74, 28.54),
    "mpiinf3dhp/tcmr/3D": (MPI, 51, MPI_PELVIS, {51}, "test", 92.83, 7.92),
    "mpiinf3dhp/vibe/3D": (MPI, 51, MPI_PELVIS, {51}, "test", 92.39, 22.37),
    "mupots/tposenet/3D": (MPI, 51, MPI_PELVIS, {51}, "test", 103.33, 12.70),
    "mupots/tposenetrefinenet/3D": (MPI, 51, MPI_PELVIS, {51}, "test", 93.97, 9.53),
    "pw3d/eft/3D": (J14, 42, HIPS, {42, 51}, "train test", 90.32, 32.71),
    "pw3d/pare/3D": (J14, 42, HIPS, {42, 51}, "train test", 78.91, 25.64),
    "pw3d/spin/3D": (J14, 42, HIPS, {42, 51}, "train test", 96.85, 34.55),
    "pw3d/tcmr/3D": (J14, 42, HIPS, {42}, "train test", 86.46, 6.76),
    "pw3d/vibe/3D": (J14, 42, HIPS, {42}, "train test", 82.97, 23.16),
    "pw3d/eft/smpl": (SMPL, 144, (), {72}, "train test", 91.60, 33.38),
    "pw3d/pare/smpl": (SMPL, 144, (), {72}, "train test", 79.93, 26.45),
    "pw3d/spin/smpl": (SMPL, 144, (), {72}, "train test", 99.28, 34.95),
    "pw3d/tcmr/smpl": (SMPL, 144, (), {72}, "test", 88.46, 7.12),
    "pw3d/vibe/smpl": (SMPL, 144, (), {72}, "test", 84.27, 23.59),
    "jhmdb/simplepose/2D": (JHMDB, 30, (), {30}, "train test", None, None),
    "cmu/gaussian-10/3D": (H17, 51, ANKLE_KNEE, {51}, "train test", 61.2, 143.8),
    "cmu/gaussian-20/3D": (H17, 51, ANKLE_KNEE, {51}, "train test", 122.5, 287.6),
    "cmu/uniform-50/3D": (H17, 51, ANKLE_KNEE, {51}, "train test", 88.7, 207.9),
    "cmu/uniform-100/3D": (H17, 51, ANKLE_KNEE, {51}, "train test", 177.4, 415.8),
    "cmu/simulated/3D": (H17, 51, ANKLE_KNEE, {51}, "train test", None, None),
    "cmu/simulated/2D": (H17, 34, (), {34}, "train test", None, None),
    "uiprmd/kinect/3D": (H17, 51, PELVIS, {51}, "train test", None, None),
    "synthetic/simulated/3D": (H17, 51, PELVIS, {51}, "train test", None, None),
}


@pytest.fixture(autouse=True)
def nobodys_datasets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("POISE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("POISE_DATASETS", raising=False)
    monkeypatch.delenv("POISE_DATASETS_TOML", raising=False)


def test_the_catalogue_is_that_of_the_literature() -> None:
    assert {str(track) for track in catalogue()} == set(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_track_is_as_published(name: str) -> None:
    skeleton, width, roots, widths, splits, mpjpe, accel = PUBLISHED[name]
    track = Track.parse(name)
    info = track.info
    assert (info.skeleton and info.skeleton.name) == skeleton
    assert info.joints * info.dims == width
    assert len(info.joint_names) == info.joints
    assert info.roots == roots
    assert set(stored_widths(track)) == widths
    assert " ".join(info.published.splits) == splits
    assert (info.published.mpjpe, info.published.accel) == (mpjpe, accel)
    assert track.has_pvd
    windows = torch.randn(2, 8, width)
    vectors = embed(windows, info.skeleton, track.representation)
    assert vectors.shape == (2, embedding_width(8, info.skeleton, info.dims))


def test_a_flip_swaps_the_sides_of_the_joints() -> None:
    flip = Track.parse("uiprmd/kinect/3D").info.flip
    assert flip is not None
    names = Track.parse("uiprmd/kinect/3D").info.joint_names
    assert flip.axis == 1
    assert names[flip.joints[names.index("left_wrist")]] == "right_wrist"
    assert names[flip.joints[names.index("head")]] == "head"
    assert Track.parse("h36m/fcn/3D").info.flip is None


def test_what_poses_are_reported_in() -> None:
    assert Track.parse("h36m/fcn/3D").info.unit == "mm"
    assert Track.parse("h36m/cpn/2D").info.to_metric == 500
    assert Track.parse("jhmdb/simplepose/2D").info.unit == "image sizes"
    assert Track.parse("h36m/fcn/3D").info.published.pa_mpjpe == 42.2


def test_other_estimators_are_like_their_data_set() -> None:
    mine = Track.parse("pw3d/mine.v2/3D")
    assert (mine.info.joints, mine.info.folder) == (14, "pw3d_mine.v2_3D")
    assert mine.info.published.mpjpe is None
    assert Track.parse("cmu/gaussian-33/3D").info.noise is not None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("uiprmd/kinect", "write dataset/estimator/representation"),
        ("uiprmd/kinect/4D", "one of 2D, 3D, smpl"),
        ("coco/hrnet/2D", "known are aist, .*own-data.md"),
        ("uiprmd/kinect/2D", r"uiprmd has 3D of kinect, \*"),
        ("h36m/unheard/2D", "no track h36m/unheard/2D"),
        ("h36m/../3D", "letters, digits"),
        (f"uiprmd/{'n' * 101}/3D", "at most 100"),
        ("cmu/kinect/3D", "name a noise, for example cmu/gaussian-10/3D"),
    ],
)
def test_what_is_no_track(text: str, message: str) -> None:
    with pytest.raises(TrackError, match=message):
        Track.parse(text)


def test_a_users_data_set_is_found_in_files_folders_and_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    texts = {name: LAB.replace("mylab", name) for name in ("one", "two", "three")}
    (tmp_path / "one.toml").write_text(texts["one"])
    for folder, name in ((tmp_path / "many", "two"), (tmp_path / "home" / "datasets", "three")):
        folder.mkdir(parents=True)
        (folder / f"{name}.toml").write_text(texts[name])
    # Named twice is there once.
    places = [tmp_path / "one.toml", tmp_path / "many", tmp_path / "one.toml"]
    monkeypatch.setenv("POISE_DATASETS", os.pathsep.join(map(str, places)))
    assert {"one", "two", "three"} <= set(datasets.known())
    info = Track.parse("two/any-net/3D").info
    assert (info.joints, info.fps, info.metres, info.to_metric) == (17, 25, 0.001, 1000)
    sent = Settings.current().worker_env()
    assert sorted(json.loads(sent["POISE_DATASETS_TOML"])) == sorted(texts.values())


def test_a_worker_knows_what_its_driver_sent(tmp_path: Path) -> None:
    (tmp_path / "lab.toml").write_text(LAB)
    code = "from poise.catalog.tracks import Track; print(Track.parse('mylab/x/3D').info.fps)"
    base = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    base["PYTHONPATH"] = os.pathsep.join(sys.path)
    env = {
        **base,
        "POISE_DATASETS_TOML": json.dumps([LAB]),
        "POISE_DATASETS": "/not/on/this/machine",
    }
    told = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "25.0"


def test_without_own_data_sets_nothing_is_sent() -> None:
    assert Settings.current().worker_env() == {}


def test_names_are_taken_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(LAB.replace("mylab", "h36m"))
    monkeypatch.setenv("POISE_DATASETS", str(file))
    with pytest.raises(CatalogueError, match=r"mine\.toml: .*h36m already.*choose another"):
        Track.parse("uiprmd/kinect/3D")
    monkeypatch.setenv("POISE_DATASETS", str(tmp_path / "gone.toml"))
    with pytest.raises(CatalogueError, match=r"POISE_DATASETS names .*gone\.toml"):
        datasets.known()


JOINTS = 'joints = ["a", "b", "c"]'


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("fps = 25", "fps = 0", "fps: .*greater than 0"),
        ("fps = 25", "fsp = 25", "fsp: unknown key; there are name, title, fps"),
        ("fps = 25", "fps = ", "not TOML: .*line 3"),
        ('name = "mylab"', 'name = "my lab"', "name: "),
        ('unit = "mm"', 'unit = "ft"', r"tracks\[0\].unit: .*'cm', 'mm', 'in' or 'px'"),
        ('unit = "mm"', "", 'tracks.0.: unit: write "m", "cm", "mm" or "in"'),
        ('unit = "mm"', 'unit = "mm"\ncolour = 1', r"tracks\[0\].colour: unknown key; there are"),
        ('roots = ["pelvis"]', "", "roots: 3D needs one joint or more"),
        ('roots = ["pelvis"]', 'roots = ["hip"]', "roots: hip not among joints: pelvis, right_hip"),
        (
            'skeleton = "h36m17"',
            'skeleton = "coco"',
            "skeleton: 'coco' is unknown; there are h36m16",
        ),
        ('skeleton = "h36m17"', "", "give either skeleton .* or joints"),
        ('skeleton = "h36m17"', f'skeleton = "h36m17"\n{JOINTS}', "give either skeleton"),
        ('skeleton = "h36m17"', 'joints = ["pelvis", "pelvis"]', "joints: pelvis is there twice"),
        ('skeleton = "h36m17"', 'skeleton = "h36m17"\nstored = ["pelvis"]', "stored lacks joints"),
        ('skeleton = "h36m17"', 'joints = ["pelvis"]\npvd = ["pelvis"]', "pvd: name 14 joints"),
        ('skeleton = "h36m17"', 'skeleton = "h36m17"\npvd = []', "pvd: a skeleton has its own"),
        ('estimators = ["*"]', 'estimators = ["*", "*"]', "tracks: 3D of \\* is there twice"),
        ('estimators = ["*"]', 'estimators = ["a/b"]', "'a/b': an estimator's name has"),
        ('estimators = ["*"]', "estimators = []", "estimators: .*at least 1"),
        ('name = "mylab"', 'name = "my_lab"', "'my_lab': a data set's name has letters and digits"),
        ('estimators = ["*"]', 'estimators = ["x"]\nnoise = true', "'x' is no noise"),
        ('estimators = ["*"]', 'estimators = ["x"]\npublished.y = {}', "published: 'y' is not"),
        ("[[tracks]]", 'files.detected = "{est}_{split}.npz"\n[[tracks]]', "placeholders are"),
        ("[[tracks]]", 'files.detected = "{estimator}.npz"\n[[tracks]]', "needs {split}"),
        ("[[tracks]]", 'files.detected = "../{split}.npz"\n[[tracks]]', "relative to the data"),
        ("[[tracks]]", 'files.detected = "a_{split}.npz"\n[[tracks]]', "needs {estimator}"),
        ("(?P<subject>", "(?P<person>", "named groups are subject, camera, action, take"),
        ("(?P<subject>", "(?P<subject", "no regular expression"),
        ('"3D"', '"2D"', 'unit: write "px" for 2D'),
        ('"3D"', '"smpl"', "skeleton: not for smpl"),
        ('unit = "mm"', 'unit = "mm"\npixels = "image"', "pixels: only for 2D"),
        ('unit = "mm"', 'unit = "mm"\nlateral = "u"', r"tracks\[0\].lateral: .*'x', 'y' or 'z'"),
        ('skeleton = "h36m17"', 'joints = ["pelvis"]\nlateral = "x"', "lateral: no joint is named"),
        (
            'skeleton = "h36m17"',
            'joints = ["pelvis", "left_hip"]\nlateral = "x"',
            "lateral: right_hip not among joints",
        ),
        ("fps = 25", "fps = 25\ngenerated = true", "generated: only built-in"),
    ],
)
def test_a_wrong_file_is_told_where_and_what(
    old: str, new: str, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert old in LAB
    file = tmp_path / "lab.toml"
    file.write_text(LAB.replace(old, new))
    monkeypatch.setenv("POISE_DATASETS", str(file))
    with pytest.raises(CatalogueError) as caught:
        datasets.known()
    assert str(file) in str(caught.value)
    assert re.search(message, str(caught.value)), caught.value


def test_wrong_pixels_are_told_without_the_words_of_the_validator() -> None:
    text = LAB.replace('"3D"', '"2D"').replace('unit = "mm"', "pixels = { center = [1, 2] }")
    with pytest.raises(CatalogueError, match=r"tracks\[0\].pixels.center: unknown key; .*centre"):
        read_dataset(text, "lab.toml")


@settings(max_examples=40, deadline=None)
@given(st.permutations([f"joint{i}" for i in range(17)]), st.data())
def test_own_joints_are_found_by_name(joints: list[str], data: st.DataObject) -> None:
    kept = data.draw(st.permutations(joints).map(lambda names: names[:15]))
    pvd = data.draw(st.permutations(kept).map(lambda names: names[:14]))
    text = f"""
name = "lab"
[[tracks]]
representation = "3D"
estimators = ["*"]
joints = {json.dumps(kept)}
stored = {json.dumps(joints)}
pvd = {json.dumps(pvd)}
roots = {json.dumps(kept[3:5])}
unit = "m"
"""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POISE_DATASETS_TOML", json.dumps([text]))
        info = Track.parse("lab/x/3D").info
    assert info.picked is not None
    assert info.skeleton is not None
    assert [joints[place] for place in info.picked] == kept
    assert [kept[place] for place in info.skeleton.pvd_joints] == pvd
    assert info.roots == (3, 4)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_file_may_have_a_byte_order_mark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    file = tmp_path / "lab.toml"
    file.write_bytes(LAB.replace("\n", "\r\n").encode(encoding))
    monkeypatch.setenv("POISE_DATASETS", str(file))
    assert Track.parse("mylab/net/3D").info.metres == 0.001
