"""`poise stream` and the documented client, against a real service without Ray."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.support.streams import open_door

from poise.checkpoints.shipped import GENERAL, shipped
from poise.cli.main import main
from poise.client.client import Client
from poise.client.playing import play, sample_path
from poise.motion.files import read
from poise.motion.motion import Motion


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    folder = shipped(GENERAL)
    assert folder is not None
    with open_door(folder, name=GENERAL) as door:
        yield f"http://127.0.0.1:{door.port}"


def test_the_sample_is_played(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "back.trc"
    options = ["--url", url, "--speed", "4", "--lag", "8", "-o", str(output)]
    assert main(["stream", "sample", *options, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["frames"], found["back"], found["fps"], found["lag"]) == (100, 100, 60.0, 8)
    assert 0 <= found["late_ms_p50"] <= found["late_ms_p99"]
    before, after = read(sample_path()), read(output)
    assert after.joints == before.joints
    assert np.isfinite(after.poses_FPJD).all()
    shaken = [np.diff(one.poses_FPJD, n=2, axis=0).std() for one in (before, after)]
    assert shaken[1] < shaken[0] / 3


def test_a_recording_in_images_of_other_joints_is_played(url: str, tmp_path: Path) -> None:
    poses = np.random.default_rng(0).normal(400, 100, (40, 1, 17, 2)).round(2)
    file = tmp_path / "clip.npy"
    np.save(file, poses[:, 0])
    output = tmp_path / "back.npy"
    arguments = [str(file), "--skeleton", "coco17", "--fps", "30", "--speed", "20"]
    assert main(["stream", *arguments, "--url", url, "-o", str(output)]) == 0
    assert np.load(output).shape[:1] == (40,)


@pytest.mark.parametrize("identified", [True, False])
def test_everybody_in_a_recording_is_played(url: str, tmp_path: Path, identified: bool) -> None:
    one = read(sample_path()).cut(0, 40)
    poses_FPJD = np.concatenate([one.poses_FPJD, one.poses_FPJD + 4.0], axis=1)
    if not identified:
        poses_FPJD[::2] = poses_FPJD[::2, ::-1].copy()
    two = Motion(
        poses_FPJD=poses_FPJD,
        joints=one.joints,
        people=("a", "b"),
        fps=60.0,
        unit="m",
        identified=identified,
    )
    back = play(Client(url), two, lag=3, speed=20.0).motion
    assert back.people == (("a", "b") if identified else ("0", "1"))
    far_FJ = np.linalg.norm(back.poses_FPJD[:, 1] - back.poses_FPJD[:, 0], axis=-1)
    np.testing.assert_allclose(np.abs(far_FJ), 4 * np.sqrt(3), atol=0.5)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--lag", "99"], "lag"),
        (["--speed", "0"], "speed"),
        (["--person", "nobody"], "nobody"),
    ],
)
def test_what_cannot_be_played_is_said_in_a_line(
    url: str, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main(["stream", "sample", "--url", url, *arguments]) == 2
    assert said in capsys.readouterr().err


def test_the_documented_program_runs(url: str) -> None:
    page = (Path(__file__).parents[3] / "docs" / "serving.md").read_text()
    [program] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    shown: list[int] = []
    lines = program.replace("clean = client.refine(motion)", "clean = None")  # a door has streams
    exec(lines, {"URL": url, "show": lambda number, *_: shown.append(number)})  # noqa: S102
    assert shown == [*range(100)]
