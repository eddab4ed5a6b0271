"""AMASS takes (SMPL, SMPL+H, SMPL-X): joints of the moving body, and back to rotations."""

import io
from typing import Any, Final, get_args

import numpy as np
from numpy.typing import NDArray

from poise.catalog.joint_sets import joint_sets
from poise.motion.format import Format, Sample, Written
from poise.motion.formats.arrays.numpy_files import with_arrays
from poise.motion.formats.bodies.rotations import BodyRest, Turned, fitted_to
from poise.motion.motion import Motion
from poise.readers.untrusted.object_npz import npz_keys, plain_array, single_value
from poise.runtime.errors import DataError
from poise.runtime.settings import VARIABLES, Settings

_FIELDS: Final = {
    "poses (or root_orient, pose_body)": "(F, 72 and more) rotations of the joints, axis-angle",
    "trans, betas, gender": "where the body is, its shape, and which body model it wants",
    "mocap_frame_rate": "frames a second; also mocap_framerate, fps",
    "the joints": "are computed with your own copy of the body model, as $POISE_SMPL names it. "
    "Written, rotations are fitted to them, the shortest way from those in the file; bones keep "
    "the body's lengths",
    "up": "where files of ours say it; z in AMASS",
    "other arrays, columns of fingers and face": "kept as they are",
}
#: What is written where there is no such file: as AMASS calls it.
_RATE: Final = "mocap_framerate"
_NOTE: Final = (
    "joints are computed of rotations; written as rotations again, these are fitted to the joints: "
    "how a bone turns about itself, and how head, hands and feet are turned, stays as it is"
)


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
        up=take.up,
        rest=BodyRest(
            sample.path,
            take.gender,
            take.family,
            {"0": Turned(np.arange(len(joints_FJ3)), take.pose_FJ3, take.trans_F3, take.betas)},
        ),
        source=sample.path,
        notes=(*take.notes, _NOTE),
    )


def _write(motion: Motion) -> Written:
    rest = motion.rest
    if not isinstance(rest, BodyRest):
        raise DataError("amass is written only with the rotations of a file; write .csv")
    found = fitted_to(motion, rest)
    if motion.format == "amass":
        return _over(motion, rest, found)
    from poise.mocap.formats.amass import Up

    if motion.fps is None:
        raise DataError(f"{rest.path}: says no frame rate, and AMASS needs one: give --fps")
    arrays: dict[str, Any] = {
        "poses": found.pose_FJ3.reshape(len(found.pose_FJ3), -1),
        "trans": found.trans_F3,
        "betas": found.betas,
        "gender": np.array(rest.gender),
        _RATE: np.array(motion.fps),
    }
    if motion.up in get_args(Up):
        arrays["up"] = np.array(motion.up)
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)
    return out.getvalue()


def _over(motion: Motion, rest: BodyRest, found: Turned) -> Written:
    """Put rotations and places into the arrays of a file, each in the shape that it had."""
    from poise.mocap.formats.amass import PARTS, RATES, body_width

    trans, frames = plain_array(rest.path, "trans"), len(found.pose_FJ3)
    if len(trans) != frames:
        raise DataError(f"{rest.path}: has {len(trans)} frames, the motion {frames}; write .csv")
    keys = npz_keys(rest.path)
    parts = ("poses",) if "poses" in keys else PARTS
    old = {key: plain_array(rest.path, key) for key in parts}
    new_FX = found.pose_FJ3.reshape(frames, -1)
    # SMPL+H and SMPL-X have fingers and faces behind the body.
    new_FX = new_FX[:, : body_width(sum(one[0].size for one in old.values()))]
    arrays: dict[str, NDArray[Any]] = {}
    for key, array in old.items():
        flat_FX = array.reshape(frames, -1).astype(
            array.dtype if array.dtype.kind == "f" else float
        )
        body = min(flat_FX.shape[1], new_FX.shape[1])
        flat_FX[:, :body], new_FX = new_FX[:, :body], new_FX[:, body:]
        arrays[key] = flat_FX.reshape(array.shape)
    arrays["trans"] = found.trans_F3.astype(trans.dtype if trans.dtype.kind == "f" else float)
    rate = next((key for key in RATES if key in keys), None)
    if rate and motion.fps and not np.isclose(motion.fps, float(single_value(rest.path, rate))):
        arrays[rate] = np.array(motion.fps)
    return with_arrays(rest.path, arrays)


FORMATS: Final = (
    Format(
        name="amass",
        about="AMASS: takes of SMPL bodies, as joints; written over such files and those of smpl",
        endings=(".npz",),
        fields=_FIELDS,
        fits=_fits,
        read=_read,
        write=_write,
        dims=(3,),
        holds=frozenset({"rate", "unit"}),
        sets={24: "smpl24"},
        only_over=("amass", "smpl"),
    ),
)
