"""What errors are like, of errors that are known."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from poise.analysis.error_spread import analyse, spread
from poise.catalog.tracks import Track
from poise.cli.main import main
from poise.readers.layouts import write_smoothnet
from poise.readers.synthetic.sequences import Size, sequences
from poise.runtime.errors import DataError

TRACK = Track("uiprmd", "kinect", "3D")
FRAMES = 120
HEAD, KNEE, ANKLE = (
    TRACK.info.joint_names.index(name) for name in ("head", "left_knee", "left_ankle")
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Errors of one metre-long wave along x: 2 Hz at the head, 10 Hz at a knee, none elsewhere."""
    folder = tmp_path_factory.mktemp("data")
    seconds_F = np.arange(FRAMES) / 30
    made = []
    for one in sequences("train", Size(1, 3, FRAMES)):
        assert one.truth_FC is not None
        detected_FJD = one.truth_FC.reshape(FRAMES, 17, 3).copy()
        for joint, rate in ((HEAD, 2), (KNEE, 10)):
            detected_FJD[:, joint, 0] += 0.1 * np.sin(2 * np.pi * rate * seconds_F)
        detected_FJD[:, ANKLE] += 0.2
        made.append(replace(one, detected_FC=detected_FJD.reshape(FRAMES, 51)))
    write_smoothnet(folder, TRACK, "train", made)
    return folder


def test_waves_are_known_by_size_and_speed(data: Path) -> None:
    rows = spread(data, TRACK, "train")
    assert [row.joint for row in rows] == [*TRACK.info.joint_names, "all"]
    assert {row.sequences for row in rows} == {3}
    for joint, fast, rate in ((HEAD, 0.0, 2), (KNEE, 1.0, 10)):
        row = rows[joint]
        assert row.deviation == pytest.approx([100 / math.sqrt(6)] * 3, rel=1e-3)
        assert row.fast == pytest.approx([fast] * 3, abs=1e-3)
        assert row.lag == pytest.approx([math.cos(2 * math.pi * rate / 30)] * 3, abs=0.02)
    # A constant offset is taken off.
    assert rows[ANKLE].deviation == pytest.approx([0.0] * 3, abs=1e-3)


def test_through_the_front_door(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["analyse", "errors", "--data", str(data), "--track", str(TRACK)]
    assert main([*arguments, "--json", "rows.json"]) == 0
    assert (
        "10 / 50 / 90 % of the train sequences (3 of uiprmd/kinect/3D)" in capsys.readouterr().out
    )
    assert len(json.loads(Path("rows.json").read_text())) == 18


def test_what_cannot_be_said(data: Path) -> None:
    with pytest.raises(DataError, match="joints in space or images"):
        analyse(data, [Track.parse("pw3d/eft/smpl")])
