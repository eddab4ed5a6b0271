"""Joints of a body model of the SMPL family: its shape, and the chain of its joints.

Joints do not depend on the skin, so neither blend skinning nor a package for it is needed.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from poise.mocap.formats.kinematics import chain_positions, chain_rotations
from poise.readers.untrusted.smpl_file import read_body_file
from poise.runtime.errors import DataError
from poise_retrieval.geometry.skeletons import SMPL_JOINTS

Floats = NDArray[np.float64]

_KEYS: Final = ("v_template", "shapedirs", "J_regressor", "kintree_table")
#: SMPL has 24 joints; SMPL+H and SMPL-X have the same 22 first, then fingers and face.
_BODY_JOINTS: Final = 22
#: As the files are called where they are downloaded, and as they are told to be renamed.
_NAMES: Final = re.compile(
    r"(?:(?:\w+_)?basic_?model_(?P<letter>m|f|neutral)(?:ale|emale)?_.*"
    r"|smpl(?P<family>[hx]?)[-_+]?(?P<gender>male|female|neutral)(?:[-_. ].*)?"
    r"|model)\.(?:npz|pkl)",
    re.I,
)
_LETTERS: Final = {"m": "male", "f": "female"}
#: Of SMPL, SMPL+H and SMPL-X, in the order in which they are looked for.
_FAMILIES: Final = ("", "h", "x")


@dataclass(frozen=True)
class Body:
    """A body model, cut down to its joints.

    Attributes:
        rest_J3: joints of the mean shape at rest, metres.
        shape_J3B: what each shape coefficient adds to them.
        parents: the root's is -1.
    """

    rest_J3: Floats
    shape_J3B: Floats
    parents: tuple[int, ...]

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a model file; nothing in it is executed.

        Raises:
            DataError: it is no body model.
        """
        found = read_body_file(path, _KEYS)
        regressor_JV, vertices_V3 = found["J_regressor"], found["v_template"]
        tree, shape_V3B = found["kintree_table"], found["shapedirs"]
        joints, vertices = len(regressor_JV), len(vertices_V3)
        if (
            joints < _BODY_JOINTS
            or regressor_JV.shape != (joints, vertices)
            or tree.shape != (2, joints)
            or shape_V3B.shape[:-1] != (vertices, 3)
        ):
            shapes = ", ".join(f"{key} {found[key].shape}" for key in _KEYS)
            raise DataError(f"{path}: {shapes}: not a body model of the SMPL family")
        count = joints if joints == len(SMPL_JOINTS) else _BODY_JOINTS
        parents = (-1, *(int(parent) for parent in tree[0, 1:count]))
        if any(not 0 <= parent < place for place, parent in enumerate(parents) if place):
            raise DataError(f"{path}: kintree_table is no tree whose parents come first")
        regressor_JV = regressor_JV[:count]
        shape_J3B = np.einsum("jv,vdb->jdb", regressor_JV, shape_V3B)
        return cls(regressor_JV @ vertices_V3, shape_J3B, parents)

    def at_rest(self, betas: Floats) -> Floats:
        """Return the model's joints of a shape at rest, metres."""
        count = min(len(betas), self.shape_J3B.shape[-1])
        return np.asarray(self.rest_J3 + self.shape_J3B[..., :count] @ betas[:count], np.float64)

    def turned(self, pose_FJ3: Floats) -> list[Floats]:
        """Return the rotation of each of the model's joints in the world, (F, 3, 3)."""
        frames, joints = len(pose_FJ3), len(self.parents)
        vectors = pose_FJ3[:, :joints].reshape(-1, 3)
        local_FJ33 = Rotation.from_rotvec(vectors).as_matrix().reshape(frames, joints, 3, 3)
        return chain_rotations(self.parents, list(local_FJ33.swapaxes(0, 1)))

    def joints(self, pose_FJ3: Floats, betas: Floats, trans_F3: Floats) -> Floats:
        """Return SMPL's 24 joints in metres, (F, 24, 3); hands are at the wrists where it has none.

        Args:
            pose_FJ3: axis-angles, (F, 24, 3).
            betas: shape coefficients; those the model does not have are ignored.
            trans_F3: metres.
        """
        rest_J3, world = self.at_rest(betas), self.turned(pose_FJ3)
        frames, joints = len(pose_FJ3), len(self.parents)
        steps = [
            world[parent] @ (rest_J3[place] - rest_J3[parent])
            if parent >= 0
            else np.broadcast_to(rest_J3[place], (frames, 3))
            for place, parent in enumerate(self.parents)
        ]
        places_FJ3 = chain_positions(self.parents, trans_F3, steps)
        wrists = [SMPL_JOINTS.index(name) for name in ("left_wrist", "right_wrist")]
        missing = wrists[: len(SMPL_JOINTS) - joints]
        return np.concatenate([places_FJ3, places_FJ3[:, missing]], axis=1)


class Bodies:
    """The body models of a folder, by gender, or one file for everybody."""

    def __init__(self, path: Path) -> None:
        """Name the folder or file; raise `DataError` where there is none."""
        if not path.exists():
            raise DataError(f"{path}: no body model there")
        self._path = path
        self._loaded: dict[Path, Body] = {}

    def of(self, gender: str, family: str | None = None) -> Body:
        """Return the model of a gender, each of which has its own shape coefficients.

        Args:
            gender: ``male``, ``female`` or ``neutral``.
            family: the one to take where there are several: ``""`` for SMPL, ``h`` or ``x``.

        Raises:
            DataError: the folder has none of that gender.
        """
        file = self._path if self._path.is_file() else self._find(gender, family)
        if file not in self._loaded:
            self._loaded[file] = Body.load(file)
        return self._loaded[file]

    def _find(self, gender: str, family: str | None) -> Path:
        families = _FAMILIES if family is None else (family, *_FAMILIES)
        fitting = {file: kind for file, (kind, who) in self._files.items() if who == gender.lower()}
        for kind in families:
            # Fewest folders first; a plain .npz before a pickle.
            found = [file for file, own in fitting.items() if own == kind]
            if found:
                return min(found, key=lambda file: (len(file.parts), file.suffix.lower(), file))
        raise DataError(
            f"{self._path}: no body model of gender {gender!r}; looked for SMPL_{gender.upper()}, "
            f"SMPLH_{gender.upper()}, SMPLX_{gender.upper()} and {gender}/model (.npz or .pkl), "
            "and for files as they are called where they are downloaded"
        )

    @cached_property
    def _files(self) -> dict[Path, tuple[str, str]]:
        """Family and gender of every model in the folder, at any depth."""
        found = {}
        for file in sorted(self._path.rglob("*")):
            name = _NAMES.fullmatch(file.name)
            inner = file.relative_to(self._path).parent
            # AMASS ships how soft tissue moves in files of the same names.
            if not name or "dmpl" in str(inner).lower() or not file.is_file():
                continue
            gender = name["gender"] or name["letter"] or file.parent.name
            family = name["family"]
            if family is None and not name["letter"]:
                said = re.search(r"smpl[+-]?([hx])", str(file.parent), re.I)
                family = said[1] if said else "h"
            found[file] = ((family or "").lower(), _LETTERS.get(gender.lower(), gender.lower()))
        return found
