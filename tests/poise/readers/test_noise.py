"""Noise on truth, and the published input rows of the denoise task (CMU)."""

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle, islice

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from poise.catalog.tracks import Noise, Track
from poise.readers.noise import cut_clips, noise_seed, per_frame, per_window
from poise.readers.sequence import PoseSequence
from poise.readers.synthetic.sequences import Size, sequences
from poise_models.base.windows import overlap_add, unfold

ROOTS = [2, 3]
WINDOW = 8
# MPJPE and Accel of the tables' "noisy input" rows, mm.
PUBLISHED = {
    "gaussian-10": (61.2, 143.8),
    "gaussian-20": (122.5, 287.6),
    "uniform-50": (88.7, 207.9),
    "uniform-100": (177.4, 415.8),
}


def noise_of(level: str) -> Noise:
    noise = Track.parse(f"cmu/{level}/3D").info.noise
    assert noise is not None
    return noise


@pytest.fixture(scope="module")
def clips() -> list[PoseSequence]:
    size = Size(subjects=3, sequences_per_subject=5, frames=20 * 120)
    return [clip for long in sequences("train", size) for clip in cut_clips(long)]


def input_errors(
    clips: Iterator[PoseSequence], noise: Noise
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Error of every frame of every clip after SWAA, and of its acceleration, mm."""
    for number, clip in enumerate(clips):
        assert clip.truth_FC is not None
        windows = per_window(clip.truth_FC, WINDOW, noise, noise_seed("test", str(number)))
        input_FC = overlap_add(torch.from_numpy(windows), 120).numpy().astype(np.float64)
        off_FJ3 = (input_FC - clip.truth_FC).reshape(120, 17, 3)
        off_FJ3 -= off_FJ3[:, ROOTS].mean(1, keepdims=True)
        jolt_F = np.zeros(120)
        jolt_F[1:-1] = np.linalg.norm(np.diff(off_FJ3, 2, axis=0), axis=2).mean(1)
        yield 1000 * np.linalg.norm(off_FJ3, axis=2).mean(1), 1000 * jolt_F


@pytest.mark.parametrize("level", PUBLISHED)
def test_published_rows_within_half_a_percent(level: str, clips: list[PoseSequence]) -> None:
    assert len(clips) == 300
    rows = np.array(list(input_errors(iter(clips), noise_of(level))))
    assert rows.mean((0, 2)) == pytest.approx(PUBLISHED[level], rel=0.005)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("level", "twice"), [("gaussian-10", "gaussian-20"), ("uniform-50", "uniform-100")]
)
def test_published_rows_at_full_size(level: str, twice: str, clips: list[PoseSequence]) -> None:
    """As many clips as the published test split: three digits, 0.05 % beyond the print's own."""
    rows = np.array(list(input_errors(islice(cycle(clips), 6689), noise_of(level))))
    assert noise_of(twice) == replace(noise_of(level), scale=2 * noise_of(level).scale)
    for factor, published in ((1, PUBLISHED[level]), (2, PUBLISHED[twice])):
        for ours, theirs in zip(factor * rows.mean((0, 2)), published, strict=True):
            assert abs(ours - theirs) < 0.05 + 5e-4 * theirs


def test_closed_form_away_from_the_ends(clips: list[PoseSequence]) -> None:
    noise = noise_of("gaussian-10")
    # A joint's error is a difference of Gaussians: 15 joints against the mean of the two roots,
    # the two roots against their own mean.
    joints = (15 * math.sqrt(1.5) + 2 * math.sqrt(0.5)) / 17
    expected = 1000 * noise.scale / math.sqrt(WINDOW) * 2 * math.sqrt(2 / math.pi) * joints
    rows = np.array(list(input_errors(iter(clips), noise)))[:, :, WINDOW:-WINDOW]
    assert rows.mean((0, 2)) == pytest.approx((expected, math.sqrt(6) * expected), rel=0.004)


def test_windows_have_their_own_draws_and_frames_have_one() -> None:
    truth_FC = np.zeros((50, 51), np.float32)
    noise = Noise("gaussian", 0.1)
    windows = per_window(truth_FC, WINDOW, noise, seed=3)
    assert windows.shape == (43, WINDOW, 51)
    assert windows.dtype == np.float32
    same_frame = np.corrcoef(windows[:-1, 1].ravel(), windows[1:, 0].ravel())[0, 1]
    assert abs(same_frame) < 0.1
    frames = per_frame(truth_FC, noise, seed=3)
    again = unfold(torch.from_numpy(frames), WINDOW)
    assert torch.equal(again[:-1, 1], again[1:, 0])
    np.testing.assert_array_equal(frames, per_frame(truth_FC, noise, seed=3))
    assert not np.array_equal(frames, per_frame(truth_FC, noise, seed=4))


def test_sizes() -> None:
    truth_FC = np.ones((4000, 51), np.float32)
    gaussian = per_frame(truth_FC, Noise("gaussian", 0.2), 0) - truth_FC
    assert gaussian.std() == pytest.approx(0.2, rel=0.01)
    uniform = per_frame(truth_FC, Noise("uniform", 0.2), 0) - truth_FC
    assert -0.1001 < uniform.min() < -0.099
    assert 0.099 < uniform.max() < 0.1001
    assert abs(uniform.mean()) < 0.001


def test_short_sequences_are_padded_like_windows() -> None:
    truth_FC = np.arange(6, dtype=np.float32).reshape(3, 2)
    silent = per_window(truth_FC, WINDOW, Noise("gaussian", 0.0), seed=0)
    assert torch.equal(torch.from_numpy(silent), unfold(torch.from_numpy(truth_FC), WINDOW))


def test_seeds_tell_split_and_name_apart() -> None:
    seeds = {noise_seed(split, name) for split in ("train", "test") for name in ("a", "b")}
    assert len(seeds) == 4
    assert noise_seed("test", "S01/walk") == 11728701124007325389


def test_clips_are_cut_without_overlap() -> None:
    [long] = sequences("test", Size(subjects=1, sequences_per_subject=1, frames=250))
    one, two = cut_clips(long)
    assert [one.name, two.name] == ["T1/gait/000@000000", "T1/gait/000@000120"]
    np.testing.assert_array_equal(two.detected_FC, long.detected_FC[120:240])
    assert cut_clips(one, frames=121) == []
