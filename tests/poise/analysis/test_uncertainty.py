"""Expected errors against observed ones, of errors that are known."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.support.serving import save_untrained

from poise.analysis.contenders import Sequences
from poise.analysis.uncertainty import BINS, MOVING, OBSERVED, Errors, calibrations, joint_errors
from poise.catalog.tracks import Track
from poise.cli.main import main
from poise.readers.layouts import write_smoothnet
from poise.readers.synthetic.sequences import Size, sequences
from poise_models.base.clip import Refined

TRACK = Track.parse("uiprmd/kinect/3D")
CMU = Track.parse("cmu/simulated/3D")


def test_errors_are_observed_with_and_without_constants() -> None:
    one = next(iter(sequences("test", Size(1, 1, 10))))
    one = replace(one, untrue_FJ=np.eye(10, 17, dtype=bool))
    refined_FJD = torch.tensor(one.truth_FC).reshape(10, 17, 3)
    refined_FJD[:, 5, 0] += 0.03
    refined_FJD[::2, 6, 1] += 0.01
    refined_FJD[1::2, 6, 1] -= 0.01
    expected_FJ = torch.full((10, 17), 0.02)
    found = joint_errors(
        Sequences(TRACK, [one]), [Refined(refined_FJD.flatten(1), error_FJ=expected_FJ)]
    )
    # Frame 0 has no root, and in nine others one joint is not known: 16 of 17.
    assert found.expected_N.tolist() == pytest.approx([20] * 9 * 16)
    assert found.observed_N.max() == pytest.approx(30, rel=1e-3)
    # Joint 6 is known in frames 1 to 5 and 7 to 9: its mean error is -2.5 mm.
    assert found.moving_N.max() == pytest.approx(12.5, rel=1e-3)


def test_expected_errors_that_are_met_are_calibrated() -> None:
    expected = np.arange(1.0, 1001.0)
    (met, moving) = calibrations("m", Errors(expected, expected.copy(), expected / 2))
    assert (met.observed, moving.observed) == (OBSERVED, MOVING)
    assert met.off == pytest.approx(0)
    assert met.correlation == pytest.approx(1)
    assert len(met.expected_B) == BINS
    assert met.expected_B[0] == pytest.approx(50.5)
    assert moving.off == pytest.approx(250.25)


def test_one_factor_of_other_subjects_mends_what_is_half_too_low() -> None:
    expected = np.arange(1.0, 1001.0)
    errors = Errors(expected, 2 * expected, 2 * expected)
    others = Errors(expected, 1.9 * expected, 2 * expected)
    by_observed, by_moving = calibrations("m", errors, others)
    assert (by_observed.factor, by_moving.factor) == pytest.approx((1.9, 2))
    assert by_observed.off == pytest.approx(0.1 * 500.5)
    assert by_moving.off == pytest.approx(0)


def test_the_command_compares_expectation_and_quality(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for split in ("train", "test"):
        made = [
            replace(one, detected_FC=one.detected_FC) for one in sequences(split, Size(2, 2, 60))
        ]
        write_smoothnet(tmp_path, TRACK, split, made)
    ours = save_untrained(tmp_path / "ours", "poise", CMU)
    theirs = save_untrained(tmp_path / "theirs", "synspp", TRACK)
    given = ["--data", str(tmp_path), "--home", str(tmp_path), "--plot", str(tmp_path / "u.png")]
    given += ["--model", ours, "--json", str(tmp_path / "u.json")]
    assert main(["analyse", "uncertainty", *given, "--model", theirs]) == 0
    said = capsys.readouterr().out
    assert "expected error - input error" in said
    assert "quality - output error without constants" in said
    rows = json.loads((tmp_path / "u.json").read_text())
    assert [(row["observed"], row["factor"] == 1) for row in rows if "factor" in row] == [
        (OBSERVED, True),
        (MOVING, True),
        (OBSERVED, False),
        (MOVING, False),
    ]
    assert (tmp_path / "u.png").read_bytes().startswith(b"\x89PNG")
    silent = save_untrained(tmp_path / "silent", "smoothnet", TRACK)
    assert main(["analyse", "uncertainty", *given[:4], "--model", silent]) == 2
    assert "says nothing about its errors" in capsys.readouterr().err
