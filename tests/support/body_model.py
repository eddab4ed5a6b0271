"""A small body in the file structure of SMPL's: 24 joints, few vertices, made up."""

import pickle
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from scipy import sparse
from scipy.spatial.transform import Rotation

PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
VERTICES = 96
#: Offsets from the parent at rest, metres: pelvis, left and right hip, spine, ...
_OFFSETS = (
    (0, 0, 0), (0.07, -0.09, 0), (-0.07, -0.09, 0), (0, 0.11, 0), (0.03, -0.38, 0),
    (-0.03, -0.38, 0), (0, 0.14, 0), (0, -0.4, -0.03), (0, -0.4, -0.03), (0, 0.05, 0),
    (0.03, -0.06, 0.12), (-0.03, -0.06, 0.12), (0, 0.21, 0), (0.08, 0.11, 0), (-0.08, 0.11, 0),
    (0, 0.09, 0.05), (0.1, 0.05, 0), (-0.1, 0.05, 0), (0.26, 0, 0), (-0.26, 0, 0), (0.25, 0, 0),
    (-0.25, 0, 0), (0.08, 0, 0), (-0.08, 0, 0),
)  # fmt: skip


def body_arrays() -> dict[str, Any]:
    """All arrays of a body, as plain ones: four vertices around every joint, two of them used."""
    random = np.random.default_rng(0)
    joints = np.zeros((24, 3))
    for joint, parent in enumerate(PARENTS[1:], start=1):
        joints[joint] = joints[parent] + np.array(_OFFSETS[joint])
    owner = np.arange(VERTICES) // 4
    around = random.normal(scale=0.05, size=(24, 2, 3))
    offsets = np.concatenate([around, -around], axis=1)[:, [0, 2, 1, 3]].reshape(VERTICES, 3)
    regressor = np.zeros((24, VERTICES))
    regressor[owner[::4], np.arange(0, VERTICES, 4)] = 0.5
    regressor[owner[::4], np.arange(1, VERTICES, 4)] = 0.5
    weights = 0.8 * np.eye(24)[owner] + 0.2 * np.eye(24)[np.maximum(np.array(PARENTS), 0)[owner]]
    table = np.array([PARENTS, range(24)], np.int64) % 2**32
    return {
        "v_template": joints[owner] + offsets,
        "posedirs": random.normal(scale=1e-3, size=(VERTICES, 3, 207)),
        "shapedirs": random.normal(scale=1e-2, size=(VERTICES, 3, 10)),
        "J_regressor": regressor,
        "kintree_table": table.astype(np.uint32),
        "weights": weights,
        "f": np.zeros((1, 3), np.uint32),
    }


def head_rows() -> Any:
    """The nine extra joints of `J_regressor_extra.npy`; row 3 is the top of the head."""
    rows = np.zeros((9, VERTICES))
    rows[3, [60, 62, 63]] = 0.2, 0.3, 0.5
    return rows


def write_body(folder: Path, suffix: str = ".npz", protocol: int = 2, head: bool = True) -> Path:
    """Write the body as SMPL_NEUTRAL.npz, or as a pickle with SciPy and chumpy objects."""
    folder.mkdir(parents=True, exist_ok=True)
    path, arrays = folder / f"SMPL_NEUTRAL{suffix}", body_arrays()
    if head:
        np.save(folder / "J_regressor_extra.npy", head_rows())
    if suffix == ".npz":
        np.savez(path, **arrays)
        return path
    with chumpy() as (ch, select):
        path.write_bytes(pickle.dumps(_as_published(arrays, ch, select), protocol))
    return path


def _as_published(arrays: dict[str, Any], ch: type, select: type) -> dict[str, Any]:
    def plain(array: Any) -> Any:
        made = ch()
        made.__dict__.update(x=array, _dirty_vars=set(), _itr=None, _depends_on_deps={})
        return made

    chosen = select()
    wide = np.concatenate([arrays["weights"], arrays["weights"]], axis=1)
    places = np.arange(wide.size).reshape(wide.shape)[:, 24:].ravel()
    chosen.__dict__.update(a=plain(wide), idxs=places, preferred_shape=(VERTICES, 24))
    return {
        **arrays,
        "v_template": plain(arrays["v_template"]),
        "shapedirs": plain(arrays["shapedirs"]),
        "weights": chosen,
        "J_regressor": sparse.csc_matrix(arrays["J_regressor"]),
        "posedirs": np.asfortranarray(arrays["posedirs"]),
        "bs_style": "lbs",
        "bs_type": "lrotmin",
        "pose_training_info": {"gender": "neutral"},
    }


@contextmanager
def chumpy() -> Iterator[tuple[type, type]]:
    """Let pickle write chumpy objects where chumpy, which NumPy 2 broke, is not installed."""
    made = {"chumpy.ch": "Ch", "chumpy.reordering": "Select"}
    classes = []
    sys.modules["chumpy"] = ModuleType("chumpy")
    for module, name in made.items():
        kind = type(name, (), {"__module__": module})
        sys.modules[module] = ModuleType(module)
        setattr(sys.modules[module], name, kind)
        classes.append(kind)
    try:
        yield classes[0], classes[1]
    finally:
        for module in ("chumpy", *made):
            del sys.modules[module]


def vectors(frames: int, seed: int = 0, scale: float = 0.4) -> Any:
    """Axis-angles (F, 24, 3) that wander slowly."""
    random = np.random.default_rng(seed)
    return random.normal(scale=scale, size=(1, 24, 3)) + random.normal(
        scale=0.02, size=(frames, 24, 3)
    ).cumsum(axis=0)


def six(vectors_FJ3: Any) -> torch.Tensor:
    """6D rotations of axis-angles, row by row."""
    turned = Rotation.from_rotvec(vectors_FJ3.reshape(-1, 3)).as_matrix()
    return torch.from_numpy(turned[:, :, :2].reshape(len(vectors_FJ3), -1).astype(np.float32))
