"""Sequence, subject, camera, action and take from image paths."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poise.readers.image_names import ImageName, UniqueNames, parse_imgname
from poise.runtime.errors import ImageNameError

UIPRMD = "S2/m01-deep_squat-correct/rep01"
H36M = "S9/Directions_1/camera55011271"
AIST = "gWA_sFM_c01_d27_mWA2_ch21"
DIRECTIONS = ("Directions_1", "S9/Directions_1")
OWN = """
name = "own"
tracks = [{ representation = "smpl", estimators = ["*"] }]
"""
CAMS = OWN.replace("own", "cams") + r"imgname = ['(?P<action>\w+)/(?P<camera>\w+)']"

#: Its pattern was written with two code points for one letter.
ZOE = OWN.replace("own", "zoe") + "imgname = ['(?P<subject>Zoe\u0308)/(?P<action>\\w+)']"


@pytest.fixture(autouse=True)
def own_data_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POISE_DATASETS_TOML", json.dumps([OWN, CAMS, ZOE]))


@pytest.mark.parametrize(
    ("dataset", "image", "expected"),
    [
        ("uiprmd", f"{UIPRMD}/000000", ImageName(UIPRMD, "S2", None, "m01-deep_squat-correct")),
        (
            "cmu",
            "S01/daz-daz_01_08_p0/000000",
            ImageName("S01/daz-daz_01_08_p0", "S01", None, "daz-daz_01_08_p0"),
        ),
        (
            "cmu",
            "SuJ/native-cmu_uJ_jumpingjacks/000003",
            ImageName("SuJ/native-cmu_uJ_jumpingjacks", "SuJ", None, "native-cmu_uJ_jumpingjacks"),
        ),
        ("h36m", f"{H36M}/000001.jpg", ImageName(H36M, "S9", "55011271", *DIRECTIONS)),
        (
            "h36m",
            f"/data/S1/images/{H36M}/000001.jpg",
            ImageName(f"data/S1/images/{H36M}", "S9", "55011271", *DIRECTIONS),
        ),
        (
            "aist",
            f"{AIST}/000001.jpg",
            ImageName(AIST, "d27", "c01", "gWA", "gWA_sFM_*_d27_mWA2_ch21"),
        ),
        (
            "pw3d",
            "downtown_arguing_00/image_00000.jpg",
            ImageName("downtown_arguing_00", "downtown_arguing_00", None, "downtown_arguing"),
        ),
        (
            "jhmdb",
            "catch/ball/00001.png",
            ImageName("catch/ball", "catch/ball", None, "catch"),
        ),
        (
            "mpiinf3dhp",
            "TS1/imageSequence/img_000001.jpg",
            ImageName("TS1/imageSequence", "TS1", None, None),
        ),
        (
            "mpiinf3dhp",
            "S8/Seq2/imageSequence/video_4/1.jpg",
            ImageName("S8/Seq2/imageSequence/video_4", "S8", "4", None, "S8/Seq2"),
        ),
        ("synthetic", "T1/walk/000/1", ImageName("T1/walk/000", "T1", None, "walk")),
        ("mupots", "TS12/img_000000.jpg", ImageName("TS12", "TS12", None, None)),
        ("own", r"walk\1.jpg", ImageName("walk", "walk", None, None)),
        (
            "cams",
            "boxing/left/1.jpg",
            ImageName("boxing/left", "boxing/*", "left", "boxing", "boxing/*"),
        ),
        ("h36m", "", ImageName("test-00007", "test-00007", None, None)),
        ("uiprmd", "000001.jpg", ImageName("test-00007", "test-00007", None, None)),
    ],
)
def test_parsed(dataset: str, image: str, expected: ImageName) -> None:
    assert parse_imgname(dataset, image, unknown="test-00007") == expected


@pytest.mark.parametrize(
    ("dataset", "image"),
    [
        ("h36m", "Directions/camera55011271/000001.jpg"),
        ("h36m", "S9/Directions/000001.jpg"),
        ("aist", "clip7/1.jpg"),
        ("pw3d", "downtown/image_00000.jpg"),
        ("jhmdb", "catch/00001.png"),
        ("mpiinf3dhp", "TS/imageSequence/1.jpg"),
        ("mupots", "12/img_000000.jpg"),
        ("uiprmd", "clip/000001.jpg"),
        ("cams", "boxing/1.jpg"),
    ],
)
def test_a_path_of_another_kind_is_refused(dataset: str, image: str) -> None:
    with pytest.raises(ImageNameError, match=f"matches no image name of {dataset}") as caught:
        parse_imgname(dataset, image, unknown="test-00007")
    assert repr(image) in str(caught.value)


def test_one_person_has_one_name_however_it_is_spelt() -> None:
    composed, decomposed = ("Zo\u00eb", "Zoe\u0308")
    for dataset in ("uiprmd", "own", "zoe"):
        names = [
            parse_imgname(dataset, f"{spelt}/walk/1.jpg", "?") for spelt in (composed, decomposed)
        ]
        assert names[0] == names[1]
        assert composed in names[0].subject


@pytest.mark.parametrize(
    ("dataset", "image", "message"),
    [
        (
            "uiprmd",
            "S\ud800/walk/1.jpg",
            r"image path 'S\\ud800/walk/1.jpg' has half of a surrogate",
        ),
        ("own", "\udcff/1.jpg", "surrogate"),
        ("uiprmd", f"{'S' * 257}/walk/1.jpg", "the subject 'SSS.* is of 257 bytes; at most 256"),
        ("uiprmd", f"{'é' * 129}/walk/1.jpg", "is of 258 bytes"),
        ("own", f"{'a/' * 150}1.jpg", "the subject .* 299 bytes"),
        ("uiprmd", "S1/" + "walk/" * 9000, "the image path .* 45,003 bytes"),
    ],
)
def test_a_name_that_nothing_can_hold_is_refused(dataset: str, image: str, message: str) -> None:
    with pytest.raises(ImageNameError, match=message) as caught:
        parse_imgname(dataset, image, unknown="?")
    assert len(str(caught.value)) < 200


def test_a_subject_of_256_bytes_is_held() -> None:
    assert parse_imgname("uiprmd", f"{'é' * 128}/walk/1.jpg", "?").subject == "é" * 128


@given(st.integers(1, 11), st.from_regex(r"[A-Z][a-z]+( \d)?", fullmatch=True))
def test_the_cameras_of_a_take_share_it(subject: int, action: str) -> None:
    names = [
        parse_imgname("h36m", f"S{subject}/{action}/camera{camera}/000001.jpg", "?")
        for camera in ("54138969", "55011271", "58860488", "60457274")
    ]
    assert {name.take for name in names} == {f"S{subject}/{action}"}
    assert len({(name.camera, name.sequence) for name in names}) == 4


def test_repeats_are_numbered_in_order() -> None:
    unique = UniqueNames()
    taken = [unique.take(name) for name in ("a", "a#2", "a", "b", "a", "a#2")]
    assert taken == ["a", "a#2", "a#3", "b", "a#4", "a#2#2"]


@given(st.lists(st.sampled_from(["a", "a#2", "a#2#2", "a#3", "b"])))
def test_names_are_unique_and_repeatable(names: list[str]) -> None:
    unique, again = UniqueNames(), UniqueNames()
    taken = [unique.take(name) for name in names]
    assert len(set(taken)) == len(names)
    assert taken == [again.take(name) for name in names]
