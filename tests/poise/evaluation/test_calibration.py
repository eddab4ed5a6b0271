"""Calibration on raw data: what reference clips bring, and what they must not change."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.tiny_lake import TRACK

from poise.catalog.tracks import Track
from poise.evaluation.calibration import CalibratedRow, evaluate_calibrated
from poise.evaluation.raw_data import RawRequest, evaluate_raw
from poise.readers.layouts import write_smoothnet
from poise.readers.sequence import PoseSequence
from poise.readers.synthetic import sequences as synthetic
from poise.runtime.errors import DataError
from poise.runtime.settings import Settings

COUNTS = (0, 1, 3)


def people(split: str, count: int, clips: int) -> list[PoseSequence]:
    """Everybody's root is somewhere else, by a decimetre or so."""
    made = []
    for one in synthetic.sequences(split, synthetic.Size(count, clips, 30), "simulated"):
        random = np.random.default_rng(list(one.subject.encode()))
        detected_FJD = one.detected_FC.reshape(-1, 17, 3).copy()
        detected_FJD[:, 0] += random.normal(scale=0.1, size=3).astype(np.float32)
        made.append(replace(one, detected_FC=detected_FJD.reshape(len(detected_FJD), -1)))
    return made


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for split, count in (("train", 4), ("test", 2)):
        write_smoothnet(folder, TRACK, split, people(split, count, 6))
    return folder


def request_of(home: Path, data: Path | None, refiner: str, **more: Any) -> RawRequest:
    return RawRequest(TRACK, Settings.load(home=home, data=data), refiner=refiner, **more)


def calibrated(request: RawRequest, *counts: int, draws: int = 3) -> list[CalibratedRow]:
    told: list[int] = []
    rows, _ = evaluate_calibrated(request, counts, draws, lambda done, _: told.append(done))
    assert told == list(range(1, draws + 1))
    return rows


@pytest.mark.parametrize("refiner", ["input", "linear"])
def test_references_lower_the_error_and_leave_accel_alone(
    refiner: str, tmp_path: Path, data: Path
) -> None:
    request = request_of(tmp_path, data, refiner)
    rows = calibrated(request, *COUNTS)
    assert [row.clips for row in rows] == list(COUNTS)
    assert rows[0].mpjpe > rows[1].mpjpe > rows[2].mpjpe
    assert {row.frames for row in rows} == {2 * 3 * 30}  # the same clips for every K
    for row in rows:
        assert row.accel == pytest.approx(rows[0].accel, rel=1e-4)
    assert rows == calibrated(request, *COUNTS)


def test_without_references_it_is_the_evaluation(tmp_path: Path, data: Path) -> None:
    request = request_of(tmp_path, data, "input")
    (row,) = calibrated(request, 0)
    whole = evaluate_raw(request).row
    assert row.mpjpe == pytest.approx(whole.mpjpe)
    assert row.pa_mpjpe == pytest.approx(whole.pa_mpjpe)
    assert row.frames == whole.frames
    assert row.spread == pytest.approx(0, abs=1e-9)


def test_nobody_to_learn_from_is_no_obstacle(tmp_path: Path) -> None:
    write_smoothnet(tmp_path, TRACK, "test", people("test", 1, 4))
    rows = calibrated(request_of(tmp_path, tmp_path, "input"), 0, 2)
    assert rows[1].mpjpe < rows[0].mpjpe


def test_somebody_must_be_left_to_score(tmp_path: Path, data: Path) -> None:
    with pytest.raises(DataError, match=r"has 6 clips, and 6 as references leave none"):
        calibrated(request_of(tmp_path, data, "input"), 0, 6)


def test_rotations_have_no_constant(tmp_path: Path, data: Path) -> None:
    request = replace(request_of(tmp_path, data, "input"), track=Track("h36m", "spin", "smpl"))
    with pytest.raises(DataError, match="rotations"):
        calibrated(request, 1)
