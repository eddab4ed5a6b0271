"""Frames as bytes: whatever goes in comes out, and nothing else is read."""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from poise.client.messages import Frames, LayoutError, decode, encode


@st.composite
def some_frames(draw: st.DrawFn) -> Frames:
    count, joints, dims = draw(st.tuples(st.integers(0, 4), st.integers(1, 5), st.integers(2, 6)))

    def values(*shape: int, dtype: str = "float32") -> st.SearchStrategy[np.ndarray]:
        return arrays(dtype, shape)

    people_F = draw(st.none() | arrays("uint16", count, elements=st.integers(0, 3)))
    poses = count if people_F is None else int(people_F.sum())
    return Frames(
        draw(values(poses, joints, dims)),
        draw(st.integers(0, 2**32 - 1)),
        draw(st.none() | values(count, dtype="float64")),
        draw(st.none() | values(poses, joints)),
        draw(st.none() | values(poses, joints)),
        draw(st.none() | values(poses)),
        people_F,
        draw(st.none() | values(poses, dtype="int32")),
    )


@given(some_frames())
def test_what_is_encoded_is_decoded(frames: Frames) -> None:
    _, joints, dims = frames.poses_NJD.shape
    back = decode(encode(frames), joints, dims)
    assert (back.first, len(back)) == (frames.first, len(frames))
    for part in fields(Frames):
        np.testing.assert_array_equal(getattr(back, part.name), getattr(frames, part.name))


@given(st.binary(max_size=200), st.integers(1, 4), st.integers(2, 3))
def test_other_bytes_are_frames_or_refused(data: bytes, joints: int, dims: int) -> None:
    try:
        frames = decode(data, joints, dims)
    except LayoutError:
        return
    assert frames.poses_NJD.shape[1:] == (joints, dims)


def test_the_layout_is_the_documented_one() -> None:
    frames = Frames(np.ones((1, 1, 2), np.float32), 5, np.array([2.0]))
    assert encode(frames).hex() == "01010100050000000000000000000040" + "0000803f" * 2
    with pytest.raises(LayoutError, match="24 bytes, not 23"):
        decode(encode(frames)[:-1], 1, 2)
