"""Formats that are only read, and what they are computed from."""

import io
from pathlib import Path

import numpy as np
import pytest
from tests.support.body_model import write_body

from poise.motion.files import read
from poise.runtime.errors import DataError
from poise.runtime.settings import Settings


def test_an_amass_take_gives_the_joints_of_its_body(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_body(tmp_path / "models")
    monkeypatch.setenv("POISE_SMPL", str(tmp_path / "models"))
    Settings.use()
    steps = np.arange(12.0).reshape(4, 3)
    take = tmp_path / "walk.npz"
    np.savez(take, poses=np.zeros((4, 72)), trans=steps, mocap_frame_rate=np.array(60.0))
    motion = read(take)
    assert (motion.format, motion.skeleton, motion.fps, motion.up) == ("amass", "smpl24", 60, "+z")
    np.testing.assert_allclose(np.diff(motion.poses_FPJD, axis=0), 3.0, atol=1e-5)
    with pytest.raises(DataError, match=r"no format is written to \.xyz"):
        motion.write(tmp_path / "x.xyz")


def test_objects_in_an_archive_are_no_poses(tmp_path: Path) -> None:
    out = io.BytesIO()
    np.savez(out, a=np.array([{}], dtype=object))
    (tmp_path / "objects.npz").write_bytes(out.getvalue())
    with pytest.raises(DataError, match="none is surely the poses"):
        read(tmp_path / "objects.npz")
