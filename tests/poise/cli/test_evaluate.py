"""``poise evaluate``: what it cannot score it names once, and its exit code says so."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.support.tiny_lake import TRACK

from poise.cli.main import main
from poise.readers.layouts import write_smoothnet
from poise.readers.synthetic import sequences as synthetic


@pytest.mark.parametrize("left_out", [0, 1])
def test_a_sequence_that_is_left_out_is_named_once_and_is_exit_code_1(
    left_out: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, *others = synthetic.sequences("test", synthetic.Size(1, 2, 60), "simulated")
    if left_out:
        first = replace(first, detected_FC=first.detected_FC * np.float32(1000))
    write_smoothnet(tmp_path, TRACK, "test", [first, *others])
    given = ["--track", str(TRACK), "--refiner", "input", "--json", str(tmp_path / "row.json")]
    assert main(["evaluate", *given, "--data", str(tmp_path), "--home", str(tmp_path)]) == left_out
    said = capsys.readouterr()
    assert said.err.count(f"sequence {first.name}") == left_out
    assert [row["left_out"] for row in json.loads((tmp_path / "row.json").read_text())] == [
        left_out
    ]


def test_calibrated_scores_have_a_row_for_each_number_of_references(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = synthetic.sequences("test", synthetic.Size(2, 4, 30), "simulated")
    write_smoothnet(tmp_path, TRACK, "test", list(made))
    place = ["--data", str(tmp_path), "--home", str(tmp_path), "--json", str(tmp_path / "rows")]
    given = ["evaluate", "--track", str(TRACK), "--refiner", "input", *place, "--draws", "2"]
    assert main([*given, "--calibrate", "0", "2"]) == 0
    said = capsys.readouterr().out
    assert "2 draws of references, 120 frames scored in each" in said
    assert [line.split()[0] for line in said.splitlines()[3:]] == ["0", "2"]
    rows = json.loads((tmp_path / "rows").read_text())
    assert [(row["clips"], row["draws"], row["left_out"]) for row in rows] == [(0, 2, 0), (2, 2, 0)]
    assert rows[1]["mpjpe"] < rows[0]["mpjpe"]
    assert main([*given, "--calibrate", "1", "--apart", "walk"]) == 2
    assert "exclude each other" in capsys.readouterr().err
