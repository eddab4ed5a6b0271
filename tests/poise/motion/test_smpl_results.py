"""Results that are SMPL bodies: their joints, who is who, and nothing in them runs."""

import os
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks.fuzz import put
from benchmarks.fuzz_seeds import seeds, smpl_body

from poise.mocap.formats.body_model import Bodies
from poise.motion.files import read
from poise.runtime.errors import DataError
from poise.runtime.settings import VARIABLES

VIBE, WHAM, PHALP, GVHMR = seeds()["smpl"]
CALLED = Path(tempfile.gettempdir()) / f"poise-ran-results-{os.getpid()}"


class Code:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {CALLED}",)


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "models").mkdir()
    path = put(smpl_body(), tmp_path / "models")
    monkeypatch.setenv(VARIABLES["smpl"], str(path.parent))
    return path


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLES["smpl"], raising=False)


@pytest.mark.usefixtures("no_model")
def test_stored_joints_need_no_body_model(tmp_path: Path) -> None:
    motion = read(put(VIBE, tmp_path))
    stored = pickle.loads(VIBE.files["clip.pkl"])  # noqa: S301
    assert motion.people == ("1", "4")
    assert motion.frames_F.tolist() == [3, 4, 6, 7, 9]
    assert motion.joints[8] == "pelvis"
    np.testing.assert_array_equal(motion.poses_FPJD[[0, 1, 2], 0], stored[1]["joints3d"])
    assert not motion.seen_FPJ[3:, 0].any()
    phalp = read(put(PHALP, tmp_path))
    assert len(phalp.joints) == 45
    assert phalp.frames_F.tolist() == [1, 2, 4, 5]


@pytest.mark.usefixtures("no_model")
@pytest.mark.parametrize("seed", [WHAM, GVHMR])
def test_rotations_alone_ask_for_the_body_model(seed: object, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"rotations of SMPL bodies; name the folder.*POISE_SMPL"):
        read(put(seed, tmp_path))  # type: ignore[arg-type]


def test_rotations_become_the_joints_of_the_body_model(model: Path, tmp_path: Path) -> None:
    body, motion = Bodies(model).of("neutral"), read(put(WHAM, tmp_path))
    stored = pickle.loads(WHAM.files["clip.pkl"])[0]  # noqa: S301
    pose, place = stored["pose_world"].reshape(3, 24, 3), stored["trans_world"]
    np.testing.assert_allclose(motion.poses_FPJD[:, 0], body.joints(pose, np.zeros(10), place))
    assert motion.skeleton == "smpl24"
    assert motion.frames_F.tolist() == [2, 3, 5]
    assert read(put(PHALP, tmp_path)).people == ("1", "2")


@pytest.mark.usefixtures("model")
def test_an_archive_of_torch_says_what_its_pickle_says(tmp_path: Path) -> None:
    stored = pickle.loads(GVHMR.files["clip.pkl"])  # noqa: S301
    tensors = {
        name: {key: torch.from_numpy(value).T.contiguous().T for key, value in part.items()}
        for name, part in stored.items()
        if isinstance(part, dict)
    }
    torch.save(tensors, tmp_path / "hmr4d_results.pt")
    again, plain = read(tmp_path / "hmr4d_results.pt"), read(put(GVHMR, tmp_path))
    np.testing.assert_allclose(again.poses_FPJD, plain.poses_FPJD)
    assert again.up == "+y"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (pickle.dumps({1: {"pose": Code()}}), "no numbers, 72 a frame"),
        (pickle.dumps([1, 2]), "holds no result Poise knows"),
        (b"\x80\x04cjoblib.numpy_pickle\nNumpyArrayWrapper\n.", "written by joblib.*pickle.dump"),
        (VIBE.files["clip.pkl"][:-40], "a pickle that is damaged"),
        (pickle.dumps({1: {"pose": np.zeros((2, 72)), "frame_ids": [1]}}), "not 2 rising numbers"),
    ],
    ids=["code", "a list", "joblib", "cut off", "frame numbers"],
)
def test_what_is_no_result_is_refused_and_does_not_run(
    content: bytes, said: str, tmp_path: Path
) -> None:
    (tmp_path / "clip.pkl").write_bytes(content)
    with pytest.raises(DataError, match=said):
        read(tmp_path / "clip.pkl")
    assert not CALLED.exists()
