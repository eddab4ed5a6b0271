"""Every command of docs/gallery.md, run as it stands there, on what real estimators gave.

MediaPipe's landmarks, Pose2Sim's TRC and DeepLabCut's HDF5 are their tools' own. The folder of
OpenPose and the JSON of MMPose hold what AlphaPose saw, and the CSV of freemocap holds MediaPipe
triangulated: nobody gives those away with a licence.
"""

import json
import os
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

import poise
from poise.catalog.joint_sets import joint_sets
from poise.cli.main import main
from poise.motion.motion import Motion

DATA = Path(os.environ.get("POISE_DATA", "none"))
PAGE = (Path(__file__).parents[3] / "docs" / "gallery.md").read_text()
TOOLS = {
    section.splitlines()[0]: re.findall(r"^\$ poise (.*)$", section, re.MULTILINE)
    for section in PAGE.split("\n## ")[1:]
}
HIGH, WIDE = 1920, 1080  # of Pose2Sim's videos


def mediapipe(folder: Path) -> None:
    with np.load(DATA / "pose2sim" / "mediapipe_pose2sim.npz") as arrays:
        seen = arrays["px_cam01"].astype(float)
    frames = [
        {
            "timestamp_ms": round(1000 * frame / 60),
            "landmarks": [
                [
                    {"x": x / WIDE, "y": y / HIGH, "z": z / WIDE, "visibility": sure}
                    for x, y, z, sure in body
                ]
            ],
        }
        for frame, body in enumerate(seen)
    ]
    (folder / "landmarks.json").write_text(json.dumps(frames))


def openpose(folder: Path) -> None:
    poise.read(DATA / "keypoint_files" / "alphapose_halpe26.json").write(
        folder / "video_json", "openpose"
    )


def mmpose(folder: Path) -> None:
    source = DATA / "keypoint_files" / "alphapose_halpe26.json"
    shutil.copy(source, folder / "alphapose-results.json")
    poise.read(source).write(folder / "results_video.json", "mmpose")


def pose2sim(folder: Path) -> None:
    shutil.copy(DATA / "keypoint_files" / "pose2sim_markers.trc", folder / "markers.trc")


def freemocap(folder: Path) -> None:
    with np.load(DATA / "pose2sim" / "mediapipe_pose2sim.npz") as arrays:
        triangulated = arrays["gt"].astype(float)
    joints = joint_sets()["h36m17"].joints
    Motion(poses_FPJD=triangulated[:, None], joints=joints, unit="mm").write(
        folder / "mediapipe_body_3d_xyz.csv", "csv-wide"
    )


def deeplabcut(folder: Path) -> None:
    shutil.copy(DATA / "keypoint_files" / "deeplabcut_reaching_2d.h5", folder / "reaching.h5")


SAMPLES = {
    "MediaPipe": mediapipe, "OpenPose": openpose, "MMPose": mmpose, "Pose2Sim": pose2sim,
    "freemocap": freemocap, "DeepLabCut": deeplabcut,
}  # fmt: skip


def test_every_tool_has_a_sample() -> None:
    assert TOOLS.keys() == SAMPLES.keys()
    assert all(TOOLS.values())


@pytest.mark.skipif(
    not (DATA / "keypoint_files").is_dir(), reason="needs POISE_DATA with keypoint_files"
)
@pytest.mark.parametrize("tool", SAMPLES)
def test_the_commands_work_one_after_the_other(
    tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    SAMPLES[tool](tmp_path)
    for command in TOOLS[tool]:
        assert main(shlex.split(command)) == 0, f"{command}: {capsys.readouterr().err}"
