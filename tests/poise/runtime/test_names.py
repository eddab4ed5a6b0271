"""Names: no two tracks share one anywhere, and what is spelt differently but the same is one."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poise.catalog.tracks import Track
from poise.checkpoints.registry import MODEL_NAME, model_name
from poise.lake.manifest import pvd_alias, track_folder
from poise.runtime.names import ESTIMATOR, LONGEST, encode, normal, why_no_label

NFC, NFD = "Zo\u00eb", "Zoe\u0308"
DATASETS = st.from_regex(r"[A-Za-z][A-Za-z0-9]{0,99}", fullmatch=True)
ESTIMATORS = st.from_regex(ESTIMATOR, fullmatch=True) | st.text("ab-_.+2", min_size=1, max_size=9)
TRACKS = st.builds(
    Track,
    DATASETS | st.just("lab"),
    ESTIMATORS.filter(ESTIMATOR.fullmatch),
    st.sampled_from(["2D", "3D", "smpl"]),
)
#: Decodes what `encode` makes of short parts.
_PIECE = re.compile(r"__([0-9a-f]{2})|(_)|([A-Za-z0-9])")


def decoded(spelt: str) -> tuple[str, ...]:
    text = "".join(
        chr(int(code, 16)) if code else "\u0100" if joint else plain
        for code, joint, plain in _PIECE.findall(spelt)
    )
    return tuple(text.split("\u0100"))


@given(TRACKS, TRACKS)
def test_no_two_tracks_share_a_name_anywhere(one: Track, other: Track) -> None:
    for place in (pvd_alias, model_name, lambda track: track_folder("lake", track), str):
        assert (place(one) == place(other)) == (one == other), (one, other)


@given(TRACKS)
def test_every_name_fits_where_it_goes(track: Track) -> None:
    longest = f"{pvd_alias(track)}_0123456789_bulk_again"
    assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,254}", longest)
    for file in (f"pvd-{track.slug}-distances.png", f"{track.estimator}-{track.representation}"):
        assert len(file.encode()) <= 255
    for asked in ("{}", "{}@champion", "{}/12"):
        found = MODEL_NAME.fullmatch(asked.format(model_name(track)))
        assert found is not None
        assert found["name"] == model_name(track)
        assert len(found["name"]) <= 256


@given(
    st.lists(
        st.text(min_size=1, max_size=9).filter(lambda s: why_no_label(s, 99) is None),
        min_size=1,
        max_size=3,
    )
)
def test_an_encoded_name_can_be_read_back(parts: list[str]) -> None:
    spelt = encode(*parts)
    assert re.fullmatch("[A-Za-z0-9_]+", spelt)
    if len(spelt) < 200:
        assert [part.encode() for part in parts] == [
            part.encode("latin-1") for part in decoded(spelt)
        ]


def test_names_that_need_no_encoding_stay_as_they_were() -> None:
    track = Track.parse("uiprmd/kinect/3D")
    assert pvd_alias(track) == "pvd_uiprmd_kinect_3D"
    assert model_name(track) == "poise-uiprmd-kinect-3D"
    assert Path(track_folder("lake", track)).parts[-2:] == ("uiprmd", "kinect-3D")


def test_the_longest_names_differ_in_their_last_letter_only() -> None:
    one, other = (encode("lab", "_" * (LONGEST - 1) + last, "3D") for last in "ab")
    assert one != other
    assert len(one) == len(other) <= 200


def test_one_person_has_one_spelling() -> None:
    assert NFC != NFD
    assert normal(NFC) == normal(NFD) == NFC


@pytest.mark.parametrize(
    ("text", "reason"),
    [("\ud800", "surrogate"), ("é" * 129, "258 bytes"), ("é" * 128, None), ("", None)],
)
def test_what_cannot_be_written_down_is_no_label(text: str, reason: str | None) -> None:
    said = why_no_label(text, 256)
    assert said is None if reason is None else reason in str(said)
