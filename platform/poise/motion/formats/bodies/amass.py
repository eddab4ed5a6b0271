"""AMASS takes (SMPL, SMPL+H, SMPL-X): joints of the moving body; read only."""

from typing import Final

import numpy as np

from poise.catalog.joint_sets import joint_sets
from poise.motion.format import Format, Sample
from poise.motion.motion import Motion
from poise.runtime.errors import DataError
from poise.runtime.settings import VARIABLES, Settings

_FIELDS: Final = {
    "poses (or root_orient, pose_body)": "(F, 72 and more) rotations of the joints, axis-angle",
    "trans, betas, gender": "where the body is, its shape, and which body model it wants",
    "mocap_frame_rate": "frames a second",
    "the joints": "are computed with your own copy of the body model, as $POISE_SMPL names it",
}


def _fits(sample: Sample) -> bool:
    keys = set(sample.keys)
    return "trans" in keys and ("poses" in keys or {"root_orient", "pose_body"} <= keys)


def _read(sample: Sample) -> Motion:
    from poise.mocap.formats.amass import read_amass  # SciPy takes a second to import
    from poise.mocap.formats.body_model import Bodies

    take = read_amass(sample.path)
    models = Settings.current().smpl
    if models is None:
        raise DataError(
            f"{sample.path}: holds rotations of an SMPL body; name the folder of its model "
            f"(SMPL_NEUTRAL.pkl, ...) in ${VARIABLES['smpl']}, so that joints can be computed"
        )
    body = Bodies(models).of(take.gender, take.family)
    joints_FJ3 = np.asarray(body.joints(take.pose_FJ3, take.betas, take.trans_F3), np.float64)
    known = joint_sets()["smpl24"]
    return Motion(
        poses_FPJD=joints_FJ3[:, None],
        joints=known.joints,
        skeleton=known.name,
        fps=take.fps if np.isfinite(take.fps) and take.fps > 0 else None,
        unit="m",
        up="+z",
        source=sample.path,
        notes=take.notes,
    )


FORMATS: Final = (
    Format(
        name="amass",
        about="AMASS: takes of SMPL bodies, as joints",
        endings=(".npz",),
        fields=_FIELDS,
        fits=_fits,
        read=_read,
        dims=(3,),
        holds=frozenset({"rate", "unit"}),
    ),
)
