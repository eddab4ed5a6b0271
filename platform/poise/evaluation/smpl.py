"""Joints of SMPL poses, where the user has the licensed body model.

Linear blend skinning is `smplx`'s (the extra ``smpl``); the file is read by
`poise.readers.untrusted.smpl_file`.
Shape letters: F frames, V vertices, J joints, P numbers of the pose that bend vertices.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from poise.evaluation.rotations import matrices
from poise.readers.untrusted.smpl_file import Floats, read_body_file
from poise.runtime.errors import DataError, in_short
from poise.runtime.settings import VARIABLES, Settings
from poise_retrieval.geometry.skeletons import SKELETONS, SMPL_JOINTS

FILES = (
    "SMPL_NEUTRAL.pkl",
    "SMPL_NEUTRAL.npz",
    "basicmodel_neutral_lbs_10_207_0_v1.1.0.pkl",
    "basicModel_neutral_lbs_10_207_0_v1.0.0.pkl",
)
HEAD_FILE = "J_regressor_extra.npy"
#: Places of the published 14 joints among SMPL's; the last, the top of the head, is no joint of the
#: body, but row 3 of `HEAD_FILE`.
J14 = tuple(SMPL_JOINTS.index(name) for name in SKELETONS["j14"].joints[:-1])
HEAD_ROW = 3
#: Hips among the 14, whose mean is the root.
ROOTS = (2, 3)
WITHOUT_BODY = (
    "without SMPL's licensed body model there are no joints: MPJPE, PA-MPJPE and Accel in mm are "
    "left out, errors are of rotations. For them, register at https://smpl.is.tue.mpg.de, download "
    f"SMPL for Python, and name the folder of SMPL_NEUTRAL.pkl with --smpl or {VARIABLES['smpl']}"
)
MEAN_SHAPE = (
    "joints of the mean body shape; published rows give input and refined poses the estimator's "
    "own shape, and Human3.6M's and 3DPW's truth its true one"
)
WITHOUT_HEAD = f"13 joints: {HEAD_FILE} is not beside the body model, so no top of the head"

_JOINTS = len(SMPL_JOINTS)
_PARTS = _JOINTS - 1
_HEAD = SMPL_JOINTS.index("head")
_FRAMES = 2048


@dataclass(frozen=True)
class BodyModel:
    """SMPL's neutral body in its mean shape, cut down to the vertices its joints depend on.

    Attributes:
        path: where it was read.
        template_V3: vertices at rest, metres.
        pose_PX: what the pose adds to the vertices, X = V x 3.
        regressor_JV: joints at rest from vertices.
        parents_J: -1 for the root.
        weights_VJ: of the skinning.
        head_V: the top of the head from vertices; None where unknown.
    """

    path: Path
    template_V3: Tensor
    pose_PX: Tensor
    regressor_JV: Tensor
    parents_J: Tensor
    weights_VJ: Tensor
    head_V: Tensor | None

    @property
    def note(self) -> str:
        """What a table must say beside its errors."""
        return MEAN_SHAPE if self.head_V is not None else f"{WITHOUT_HEAD}; {MEAN_SHAPE}"

    def joints(self, poses_FC: Tensor) -> Tensor:
        """Return the published joints of 6D poses (F, 144): (F, 14, 3) metres, 13 without head."""
        return torch.cat([self._joints(some) for some in poses_FC.split(_FRAMES)])

    def hang_on(self, rotations_FJ: Tensor) -> Tensor:
        """Which of the joints (F, 14 or 13) any of these rotations (F, 24) moves."""
        moved_FJ = rotations_FJ.clone()
        parents = self.parents_J.tolist()
        for joint in range(1, _JOINTS):
            moved_FJ[:, joint] |= moved_FJ[:, parents[joint]]
        # A joint is where its parents put it; its own rotation moves what comes after.
        carried_FJ = moved_FJ[:, parents]
        carried_FJ[:, 0] = False
        chosen_FJ = carried_FJ[:, list(J14)]
        if self.head_V is None:
            return chosen_FJ
        return torch.cat([chosen_FJ, moved_FJ[:, [_HEAD]]], dim=1)

    def _joints(self, poses_FC: Tensor) -> Tensor:
        local_FJ33 = matrices(poses_FC.to("cpu", torch.float32))
        rest_J3 = self.regressor_JV @ self.template_V3
        turned, placed = [local_FJ33[:, 0]], [rest_J3[0].expand(len(local_FJ33), 3)]
        for joint, parent in enumerate(self.parents_J.tolist()[1:], start=1):
            turned.append(turned[parent] @ local_FJ33[:, joint])
            placed.append(placed[parent] + turned[parent] @ (rest_J3[joint] - rest_J3[parent]))
        chosen_FJ3 = torch.stack([placed[joint] for joint in J14], dim=1)
        if self.head_V is None:
            return chosen_FJ3
        # A weighted mean of vertices: the pose bends them at rest, then every joint carries each
        # along by its weight.
        bent_FX = (local_FJ33[:, 1:] - torch.eye(3)).flatten(1) @ self.pose_PX
        vertices_FV3 = self.template_V3 + bent_FX.unflatten(1, (-1, 3))
        share_VJ = self.head_V[:, None] * self.weights_VJ
        point_FJ3 = torch.einsum("vj,fvd->fjd", share_VJ, vertices_FV3)
        share_J1 = share_VJ.sum(0)[:, None]
        from_joint_FJ31 = (point_FJ3 - share_J1 * rest_J3)[..., None]
        carried_FJ3 = (torch.stack(turned, dim=1) @ from_joint_FJ31)[..., 0]
        head_F3 = (carried_FJ3 + share_J1 * torch.stack(placed, dim=1)).sum(dim=1)
        return torch.cat([chosen_FJ3, head_F3[:, None]], dim=1)


def find_body_model(folder: Path | None = None) -> BodyModel | None:
    """Load the body model of a folder, or of ``$POISE_SMPL``; None where neither is given.

    Raises:
        DataError: it was named but is not there, or not a SMPL body.
    """
    named = Settings.load(smpl=folder).smpl
    return None if named is None else load_body_model(named)


@lru_cache(maxsize=2)
def load_body_model(place: Path) -> BodyModel:
    """Load a body model from its file or folder; raise `DataError` as `find_body_model`."""
    candidates = [place, *(place / name for name in FILES)]
    path = next((path for path in candidates if path.is_file()), None)
    if path is None:
        raise DataError(
            f"no body model in {place}: it needs {FILES[0]}; register at "
            "https://smpl.is.tue.mpg.de and download SMPL for Python"
        )
    keys = ("v_template", "posedirs", "J_regressor", "kintree_table", "weights")
    return _body(path, read_body_file(path, keys), _head(path.parent / HEAD_FILE))


def _body(path: Path, found: dict[str, Floats], head_V: Floats | None) -> BodyModel:
    vertices = len(found["v_template"])
    expected: dict[str, tuple[int, ...]] = {
        "v_template": (vertices, 3),
        "posedirs": (vertices, 3, 9 * _PARTS),
        "J_regressor": (_JOINTS, vertices),
        "kintree_table": (2, _JOINTS),
        "weights": (vertices, _JOINTS),
    }
    for key, shape in expected.items():
        if found[key].shape != shape:
            raise DataError(f"{path}: {key} is {found[key].shape}, SMPL's is {shape}")
    if head_V is not None and len(head_V) != vertices:
        raise DataError(f"{HEAD_FILE} is for {len(head_V)} vertices, {path} has {vertices}")
    parents = found["kintree_table"][0].astype(np.int64)
    parents[0] = -1
    if (parents[1:] < 0).any() or (parents[1:] >= np.arange(1, _JOINTS)).any():
        raise DataError(f"{path}: kintree_table is no tree whose parents come first")
    # Skinning a vertex costs the same whether a joint looks at it or not; few are looked at.
    used_V = (found["J_regressor"] != 0).any(axis=0)
    if head_V is not None:
        used_V |= head_V != 0
    pose_PX = found["posedirs"][used_V].reshape(-1, 9 * _PARTS).T
    return BodyModel(
        path=path,
        template_V3=_tensor(found["v_template"][used_V]),
        pose_PX=_tensor(pose_PX),
        regressor_JV=_tensor(found["J_regressor"][:, used_V]),
        parents_J=torch.from_numpy(parents),
        weights_VJ=_tensor(found["weights"][used_V]),
        head_V=None if head_V is None else _tensor(head_V[used_V]),
    )


def _head(path: Path) -> Floats | None:
    if not path.is_file():
        return None
    try:
        # Mapped, so that a shape larger than the file takes no memory.
        rows_RV = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError) as error:
        raise DataError(f"{path}: not a plain array ({in_short(error)}); copy it again") from error
    if rows_RV.ndim != 2 or len(rows_RV) <= HEAD_ROW:
        raise DataError(f"{path} is {rows_RV.shape}, expected 9 rows, one weight a vertex")
    return np.asarray(rows_RV[HEAD_ROW], np.float64)


def _tensor(array: Any) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
