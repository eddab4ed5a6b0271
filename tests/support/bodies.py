"""AMASS takes and body models of the SMPL family that the tests make themselves."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

FRAMES = 12


def write_amass(path: Path, width: int = 156, **changes: Any) -> Path:
    rng = np.random.default_rng(1)
    content: dict[str, Any] = {
        "poses": rng.normal(0, 0.3, (FRAMES, width)),
        "trans": rng.normal(0, 1, (FRAMES, 3)),
        "betas": rng.normal(0, 1, 16),
        "gender": np.array("female"),
        "mocap_framerate": np.array(120.0),
    } | changes
    np.savez(path, **{key: value for key, value in content.items() if value is not None})
    return path


PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)


def write_body(path: Path, joints: int = 24, **changes: Any) -> Path:
    """Write a body whose joint n is at height n: one vertex for each joint."""
    rng = np.random.default_rng(3)
    rest = np.zeros((joints, 3))
    rest[:, 1] = np.arange(joints)
    parents = [*PARENTS, *range(23, joints - 1)][:joints]
    content = {
        "v_template": rest,
        "shapedirs": rng.normal(0, 0.01, (joints, 3, 10)),
        "J_regressor": np.eye(joints),
        "kintree_table": np.array([parents, range(joints)]),
    } | changes
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".pkl":
        path.write_bytes(pickle.dumps(content))
    else:
        np.savez(path, **content)
    return path
