"""The synthetic track: bodies that stay whole, motion that is smooth, errors of every kind."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from poise.catalog.tracks import Track
from poise.readers.raw_split import open_split, sources, split_exists
from poise.readers.sequence import PoseSequence
from poise.readers.synthetic import body, motion
from poise.readers.synthetic import estimator as simulator
from poise.readers.synthetic.sequences import Size, sequences
from poise.runtime.errors import DataError

TRACK = Track.parse("synthetic/simulated/3D")


@pytest.fixture(scope="module")
def train() -> list[PoseSequence]:
    return [row for row in open_split(None, TRACK, "train") if isinstance(row, PoseSequence)]


def truth_of(row: PoseSequence) -> NDArray[np.float64]:
    assert row.truth_FC is not None
    return row.truth_FC.astype(np.float64).reshape(-1, 17, 3)


def off(row: PoseSequence) -> NDArray[np.float64]:
    return row.detected_FC.astype(np.float64).reshape(-1, 17, 3) - truth_of(row)


def test_default_track(train: list[PoseSequence]) -> None:
    test = list(open_split(None, TRACK, "test"))
    assert (len(train), len(test)) == (120, 40)
    assert {row.detected_FC.shape for row in train} == {(120, TRACK.info.joints * TRACK.info.dims)}
    assert {row.fps for row in train} == {TRACK.info.fps}
    assert {row.action for row in train} == set(motion.KINDS)
    assert {row.subject for row in train} == {f"S{number}" for number in range(1, 7)}
    assert {row.subject for row in test if isinstance(row, PoseSequence)} == {"T1", "T2"}
    assert len({row.name for row in train}) == 120
    assert sources(None, TRACK, "train") == []
    assert split_exists(None, TRACK, "test")


def test_bones_keep_their_length_and_differ_between_people(train: list[PoseSequence]) -> None:
    lengths: dict[str, NDArray[np.float64]] = {}
    for row in train:
        truth_FJ3 = truth_of(row)
        bones = truth_FJ3[:, 1:] - truth_FJ3[:, list(body.PARENTS[1:])]
        length_FB = np.linalg.norm(bones, axis=2)
        np.testing.assert_allclose(
            length_FB, np.broadcast_to(length_FB[0], length_FB.shape), atol=1e-5
        )
        first = lengths.setdefault(row.subject, length_FB[0])
        np.testing.assert_allclose(length_FB[0], first, atol=1e-5)
        np.testing.assert_array_equal(truth_FJ3[:, 0], 0.0)
        assert (truth_FJ3[:, 8, 1] > 0.2).all()  # upright: the thorax is above the hip
    stature = [length[:3].sum() for length in lengths.values()]
    assert np.ptp(stature) > 0.02


def test_motion_is_smooth_and_errors_have_the_size_of_a_real_estimator(
    train: list[PoseSequence],
) -> None:
    truth_FJ3 = np.stack([truth_of(row) for row in train])
    off_FJ3 = np.stack([off(row) for row in train])

    def accel(poses: NDArray[np.float64]) -> float:
        return float(1000 * np.linalg.norm(np.diff(poses, 2, axis=1), axis=3).mean())

    assert 0.5 < accel(truth_FJ3) < 5.0
    assert 12.0 < accel(off_FJ3) < 30.0
    assert 40.0 < 1000 * np.linalg.norm(off_FJ3, axis=3).mean() < 70.0
    # Band limit: nearly nothing above 5 Hz (30 frames a second).
    steady = truth_FJ3 - truth_FJ3.mean(1, keepdims=True)
    power = np.abs(np.fft.rfft(steady * np.hanning(120)[:, None, None], axis=1)) ** 2
    high = np.fft.rfftfreq(120, 1 / 30) > 5
    assert power[:, high].sum() < 1e-3 * power.sum()


def test_every_subject_shares_the_bias() -> None:
    halves = {}
    for split, subjects in (("train", 6), ("test", 6)):
        rows = sequences(split, Size(subjects=subjects, sequences_per_subject=10))
        halves[split] = np.concatenate([off(row) for row in rows]).mean(0).ravel()
    assert np.corrcoef(halves["train"], halves["test"])[0, 1] > 0.8


def test_errors_last_longer_than_a_frame(train: list[PoseSequence]) -> None:
    off_FC = np.stack([off(row).reshape(120, -1) for row in train])
    off_FC -= off_FC.mean((0, 1))
    next_frame = (off_FC[:, 1:] * off_FC[:, :-1]).mean() / (off_FC**2).mean()
    ten_frames = (off_FC[:, 10:] * off_FC[:, :-10]).mean() / (off_FC**2).mean()
    assert next_frame > 0.8
    assert 0.2 < ten_frames < next_frame


def standing(frames: int) -> NDArray[np.float64]:
    bones = body.proportions(np.random.default_rng(0))
    turned = motion.rotations("gait", frames, 30.0, np.random.default_rng(1))
    return body.forward_kinematics(turned, bones)


def test_each_kind_of_mishap_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    truth = standing(4000)

    def only(kind: str) -> NDArray[np.float64]:
        for name in ("SWAPS_PER_PAIR", "FLIPS_PER_LIMB", "MISSES_PER_LIMB"):
            if not name.startswith(kind):
                monkeypatch.setattr(simulator, f"_{name}_FRAME", 0.0)
        monkeypatch.setattr(simulator, "_WHITE_M", 0.0)
        monkeypatch.setattr(simulator, "_SLOW_M", 0.0)
        found = simulator.detect(truth, np.zeros((17, 3)), np.random.default_rng(2))
        monkeypatch.undo()
        return found

    swapped = only("SWAPS")
    wrong = (swapped != truth).any((1, 2))
    legs = (swapped[:, [1, 2, 3]] == truth[:, [4, 5, 6]]).all((1, 2))
    arms = (swapped[:, [14, 15, 16]] == truth[:, [11, 12, 13]]).all((1, 2))
    assert legs.any()
    assert arms.any()
    np.testing.assert_array_equal(wrong, legs | arms)

    flipped = only("FLIPS")
    np.testing.assert_array_equal(flipped[..., :2], truth[..., :2])
    knee_depth = truth[:, 2, 2] - truth[:, 1, 2]
    turned = ~np.isclose(flipped[:, 2, 2], truth[:, 2, 2])
    assert turned.any()
    np.testing.assert_allclose((flipped[:, 2, 2] - flipped[:, 1, 2])[turned], -knee_depth[turned])

    missed = only("MISSES")
    frozen = (np.diff(missed[:, 13], axis=0) == 0).all(1)
    assert 0.02 < frozen.mean() < 0.3
    np.testing.assert_array_equal(
        missed[:, [0, 1, 4, 7, 8, 9, 10]], truth[:, [0, 1, 4, 7, 8, 9, 10]]
    )


@settings(max_examples=20, deadline=None)
@given(frames=st.integers(1, 300), kind=st.sampled_from(motion.KINDS), seed=st.integers(0, 2**32))
def test_rotations_are_rotations_for_any_length(frames: int, kind: str, seed: int) -> None:
    turned = motion.rotations(kind, frames, 30.0, np.random.default_rng(seed))
    assert turned.shape == (frames, 17, 3, 3)
    np.testing.assert_allclose(np.linalg.det(turned), 1.0, atol=1e-9)
    np.testing.assert_allclose(
        turned @ turned.swapaxes(2, 3), np.broadcast_to(np.eye(3), turned.shape), atol=1e-9
    )


def test_content_follows_from_names_not_from_order() -> None:
    small, large = Size(1, 2, 30), Size(3, 7, 30)
    wanted = list(sequences("train", small))
    found = {row.name: row for row in sequences("train", large)}
    for row in wanted:
        np.testing.assert_array_equal(found[row.name].detected_FC, row.detected_FC)
    other_seed = next(sequences("train", Size(1, 1, 30, seed=1)))
    other_estimator = next(sequences("train", small, estimator="other"))
    assert not np.array_equal(other_seed.detected_FC, wanted[0].detected_FC)
    assert not np.array_equal(other_estimator.detected_FC, wanted[0].detected_FC)
    np.testing.assert_array_equal(truth_of(other_estimator), truth_of(wanted[0]))


def test_refusals() -> None:
    with pytest.raises(DataError, match="no split 'val'"):
        next(sequences("val"))
    with pytest.raises(DataError, match="must be at least 1"):
        next(sequences("train", Size(subjects=0)))
