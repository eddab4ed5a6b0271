"""Sequence, subject, camera and action from image paths."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poise.raw.imgname import ImageName, UniqueNames, parse_imgname

UIPRMD = "S2/m01-deep_squat-correct/rep01"
H36M = "S9/Directions_1/camera55011271"
AIST = "gWA_sFM_c01_d27_mWA2_ch21"


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
        ("h36m", f"{H36M}/000001.jpg", ImageName(H36M, "S9", "55011271", "Directions_1")),
        ("aist", f"{AIST}/000001.jpg", ImageName(AIST, "d27", "c01", "gWA")),
        ("aist", "clip7/1.jpg", ImageName("clip7", "clip7", None, None)),
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
            ImageName("S8/Seq2/imageSequence/video_4", "S8", "4", None),
        ),
        ("mupots", "TS12/img_000000.jpg", ImageName("TS12", "TS12", None, None)),
        ("own", r"walk\1.jpg", ImageName("walk", "walk", None, None)),
        ("h36m", "", ImageName("test-00007", "test-00007", None, None)),
        ("uiprmd", "000001.jpg", ImageName("test-00007", "test-00007", None, None)),
    ],
)
def test_parsed(dataset: str, image: str, expected: ImageName) -> None:
    assert parse_imgname(dataset, image, unknown="test-00007") == expected


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
