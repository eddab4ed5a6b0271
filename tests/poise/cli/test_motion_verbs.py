"""`poise info`, `poise convert`: keypoint files from the command line."""

import json
from pathlib import Path

import numpy as np
import pytest

from poise.cli.main import main
from poise.motion.files import read

JOINTS = 17


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Two people at 25 frames a second, AlphaPose's way; one hides for a while."""
    rng = np.random.default_rng(5)
    rows = []
    for frame in range(40):
        for person in (0, 1):
            if person and 10 <= frame < 15:
                continue
            steps = np.stack([np.arange(JOINTS) * 9.0, np.arange(JOINTS) * 20.0], -1)
            at = steps + 100 * person + frame + rng.normal(0, 2, (JOINTS, 2))
            numbers = np.hstack([at, np.full((JOINTS, 1), 0.8)]).round(3).ravel().tolist()
            rows.append({"image_id": f"{frame}.jpg", "keypoints": numbers, "idx": person})
    path = tmp_path / "clip.json"
    path.write_text(json.dumps(rows))
    return path


def test_info_says_what_a_file_is(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(clip), "--fps", "25"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "format coco frames 40 from number 0 rate 25 frames a second, 1.56 s" in said
    assert "people 2: 0 (40 frames), 1 (35 frames) joints 17: coco17 space 2D, px" in said
    assert "most gaps: nose (5 frames, longest 5)" in said
    assert "of power above 6 Hz" in said


def test_info_lists_a_folder(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = clip.parent
    (folder / "notes.txt").write_text("left knee hurts\n")
    (folder / "broken.json").write_text('[{"image_id": 1')
    assert main(["info", str(folder)]) == 2
    said = capsys.readouterr()
    assert str(clip) in said.out
    assert "notes.txt" not in said.out + said.err
    assert "broken.json, line 1" in said.err
    (folder / "empty").mkdir()
    assert main(["info", str(folder / "empty")]) == 2
    assert "empty: no keypoint files in it" in capsys.readouterr().err


def test_info_tells_programs_the_same(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(clip), str(clip.with_name("none.json")), "--json"]) == 2
    told = capsys.readouterr()
    assert told.err.endswith("none.json: no such file or folder\n")
    (facts,) = json.loads(told.out)
    assert (facts["format"], facts["frames"], facts["people"]) == ("coco", 40, {"0": 40, "1": 35})
    assert facts["gaps"]["nose"] == {"frames": 5, "longest": 5}
    assert facts["confidence"] == {"low": 0.8, "median": 0.8, "high": 0.8}
    assert facts["jitter"]["mean_acceleration"] > 1
    assert facts["jitter"]["power_above_6_hz"] is None  # no rate


def test_convert_says_what_is_lost(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = clip.with_name("clip.npy")
    assert main(["convert", str(clip), str(out), "--person", "1", "--fps", "25"]) == 0
    told = capsys.readouterr()
    for lost in (
        "confidences",
        "names of joints",
        "frame rate",
        "unit (px)",
        "the coco file holds",
    ):
        assert lost in told.err
    assert told.out == f"{out}: npy, 40 frames, 1 person, 17 joints\n"
    assert np.load(out).shape == (40, JOINTS, 2)
    assert main(["convert", str(clip), str(out)]) == 2
    assert "already there" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a.csv", "b.parquet", "c.npz", "d.h5", "e.json", "folder"])
def test_convert_there_and_back_keeps_the_poses(name: str, clip: Path) -> None:
    there, back = clip.with_name(name), clip.with_name("back.json")
    assert main(["convert", str(clip), str(there)]) == 0
    assert main(["convert", str(there), str(back), "--to", "coco"]) == 0
    before, after = read(clip), read(back)
    np.testing.assert_allclose(after.poses_FPJD, before.poses_FPJD, atol=1e-5)
    assert after.people == before.people
    assert main(["info", str(there)]) == 0
