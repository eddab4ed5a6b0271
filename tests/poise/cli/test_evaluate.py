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
