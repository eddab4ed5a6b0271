"""The sample in the repository: small, readable, and as wrong as its README says."""

import re
from pathlib import Path

import pytest
import torch

from poise.catalog.tracks import Track
from poise.evaluation.metrics import pose_errors
from poise.readers.raw_split import open_split, split_exists
from poise.readers.sequence import PoseSequence

SAMPLE = Path(__file__).resolve().parent.parent / "sample"
CAMERAS = ["cam01", "cam02", "cam03", "cam04"]


@pytest.fixture
def track(monkeypatch: pytest.MonkeyPatch) -> Track:
    monkeypatch.setenv("POISE_DATASETS", str(SAMPLE / "pose2sim.toml"))
    return Track.parse("pose2sim/mediapipe/3D")


@pytest.fixture
def sequences(track: Track) -> list[PoseSequence]:
    return [one for one in open_split(SAMPLE, track, "test") if isinstance(one, PoseSequence)]


def test_it_is_small_and_says_whose_it_is() -> None:
    files = [file for file in SAMPLE.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= 3 * 2**20
    assert {file.suffix for file in files} <= {".npz", ".md", ".toml", ".pose2sim"}
    assert "Redistributions in binary form" in (SAMPLE / "LICENSE.pose2sim").read_text()


def test_every_camera_reads_as_a_view_of_one_take(
    track: Track, sequences: list[PoseSequence]
) -> None:
    assert [one.camera for one in sequences] == CAMERAS
    assert {(one.subject, one.take, one.fps) for one in sequences} == {("P1", "demo", 60.0)}
    assert all(one.detected_FC.shape == (100, 51) for one in sequences)
    assert not split_exists(SAMPLE, track, "train")


def test_errors_are_those_of_the_readme(track: Track, sequences: list[PoseSequence]) -> None:
    told = re.findall(r"\| (cam\d+) \| ([\d.]+) \| ([\d.]+) \|", (SAMPLE / "README.md").read_text())
    assert [row[0] for row in told] == CAMERAS
    for (_, mpjpe, accel), one in zip(told, sequences, strict=True):
        assert one.truth_FC is not None
        found = pose_errors(
            torch.from_numpy(one.detected_FC), torch.from_numpy(one.truth_FC), track.info
        )
        assert found.mpjpe == pytest.approx(float(mpjpe), abs=0.05)
        assert found.accel == pytest.approx(float(accel), abs=0.05)
        assert 90 < found.mpjpe < 200
        assert 20 < found.accel < 120


def test_all_views_show_the_same_body(sequences: list[PoseSequence]) -> None:
    sizes = [one.truth_FC for one in sequences]
    lengths = [
        torch.from_numpy(truth).reshape(-1, 17, 3).norm(dim=-1)
        for truth in sizes
        if truth is not None
    ]
    for other in lengths[1:]:
        torch.testing.assert_close(other, lengths[0], rtol=0, atol=1e-5)
