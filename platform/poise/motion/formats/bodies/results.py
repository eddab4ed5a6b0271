"""What networks that fit SMPL bodies save: VIBE, WHAM, 4DHumans (PHALP), GVHMR."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from poise.catalog.joint_sets import joint_sets
from poise.motion.format import Format, Sample, in_order
from poise.motion.formats.bodies.rotations import BodyRest, Turned
from poise.motion.motion import Motion
from poise.motion.names import MOST_FRAME
from poise.motion.people import Entries
from poise.motion.text.triples import frame_numbers
from poise.motion.units import Axis
from poise.readers.untrusted.dicts import is_pickle, is_torch, read_dicts
from poise.runtime.errors import DataError
from poise.runtime.settings import VARIABLES, Settings

Floats = NDArray[np.float64]
_FIELDS: Final = {
    "VIBE": "for each person pose (F, 72), betas, frame_ids, joints3d (F, 49, 3), metres, whose 49 "
    "joints are read",
    "WHAM": "for each person pose_world, trans_world (else pose, trans), betas, frame_ids",
    "4DHumans (PHALP)": "for each image tid (who), smpl (global_orient, body_pose, betas) and "
    "3d_joints, which are read where there is no body model",
    "GVHMR": "smpl_params_global (body_pose, global_orient, transl, betas), as hmr4d_results.pt or "
    "a pickle of it",
    "rotations": "become joints by your own copy of the body model, as $POISE_SMPL names it; those "
    "of one person are written as amass (.npz)",
    "the file": "a pickle of dicts and arrays, read without running it; joblib's are refused, and "
    "what to do is said. Vertices and cameras are not read",
}
_BODY: Final = 24
_VECTOR: Final = 3
#: VIBE's joints behind OpenPose's 25.
_MORE: Final = [
    "lsp_right_ankle",
    "lsp_right_knee",
    "lsp_right_hip",
    "lsp_left_hip",
    "lsp_left_knee",
    "lsp_left_ankle",
    "lsp_right_wrist",
    "lsp_right_elbow",
    "lsp_right_shoulder",
    "lsp_left_shoulder",
    "lsp_left_elbow",
    "lsp_left_wrist",
    "lsp_neck",
    "head_top",
    "mpii_pelvis",
    "thorax",
    "spine",
    "jaw",
    "head",
    "coco_nose",
    "coco_left_eye",
    "coco_right_eye",
    "coco_left_ear",
    "coco_right_ear",
]
_NOTHING: Final = (
    "a pickle (also joblib, torch) that holds no result Poise knows (VIBE, WHAM, 4DHumans, GVHMR); "
    "in the Python that wrote it save the arrays: np.savez('clip.npz', poses=..., fps=...)"
)


@dataclass(frozen=True)
class _Track:
    """A person: joints, or rotations that joints are computed of.

    Attributes:
        joints_FJ3: metres; None where there are rotations alone.
        pose_FJ3: axis-angles, (F, 24, 3); None where there are joints alone.
    """

    frames_F: NDArray[np.int64]
    joints_FJ3: Floats | None
    pose_FJ3: Floats | None
    betas: Floats
    trans_F3: Floats | None


def _fits(sample: Sample) -> bool:
    return is_pickle(sample.head) or is_torch(sample.path, sample.head)


def _read(sample: Sample) -> Motion:
    path = sample.path
    root = read_dicts(path)
    up: Axis | None = "-y"
    if isinstance(root, dict) and _gvhmr(root) is not None:
        tracks, up = {"0": _gvhmr_track(path, root)}, "+y"
    elif isinstance(root, dict) and (images := _images(root)):
        tracks = _phalp(path, images)
    elif isinstance(root, dict) and (people := _people(root)):
        tracks = {name: _track(path, name, one) for name, one in people.items()}
        if any("pose_world" in one for one in people.values()):
            up = None
    else:
        raise DataError(f"{path}: {_NOTHING}")
    return _motion(path, tracks, up)


def _gvhmr(root: Mapping[Any, Any]) -> Any:
    found = root.get("smpl_params_global")
    return found if isinstance(found, dict) and "body_pose" in found else None


def _people(root: Mapping[Any, Any]) -> dict[str, dict[str, Any]]:
    """Return each person's arrays by id, as VIBE and WHAM save them."""
    if "pose" in root or "joints3d" in root:
        return {"0": dict(root)}
    found = {
        str(key): value
        for key, value in root.items()
        if isinstance(value, dict) and not value.keys().isdisjoint(("pose", "joints3d"))
    }
    return found if len(found) == len(root) else {}


def _images(root: Mapping[Any, Any]) -> dict[str, dict[str, Any]]:
    """Return what PHALP saves of each image."""
    found = {
        str(key): value
        for key, value in root.items()
        if isinstance(value, dict) and "tid" in value and ("smpl" in value or "3d_joints" in value)
    }
    return found if len(found) == len(root) else {}


def _numbers(path: Path, where: str, value: Any, width: int) -> Floats:
    """Return a value as rows of so many numbers."""
    try:
        array = np.asarray(value, np.float64)
        return array.reshape(-1, width)
    except (TypeError, ValueError):
        raise DataError(f"{path}, {where}: no numbers, {width} a frame; save it again") from None


def _frame_ids(path: Path, where: str, record: Mapping[Any, Any], frames: int) -> NDArray[np.int64]:
    told = next((record[key] for key in ("frame_ids", "frame_id") if key in record), None)
    if not isinstance(told, np.ndarray | list):
        return np.arange(frames)
    numbers = _numbers(path, f"{where}, frame_ids", told, 1)[:, 0]
    rising = len(numbers) == frames and (np.diff(numbers) > 0).all()
    if not rising or not (np.abs(numbers) < MOST_FRAME).all():
        raise DataError(f"{path}, {where}: frame_ids are not {frames} rising numbers")
    return numbers.astype(np.int64)


def _track(path: Path, name: str, record: Mapping[Any, Any]) -> _Track:
    """Return a person of VIBE's or WHAM's results."""
    where = f"person {name}"
    joints = record.get("joints3d")
    if isinstance(joints, np.ndarray) and joints.ndim == 3 and joints.shape[2] == _VECTOR:
        found = np.asarray(joints, np.float64)
        frames = _frame_ids(path, where, record, len(found))
        return _Track(frames, found, None, np.zeros(0), None)
    world = "_world" if "pose_world" in record and "trans_world" in record else ""
    if f"pose{world}" not in record:
        raise DataError(f"{path}, {where}: neither joints3d nor a pose")
    pose = _numbers(path, f"{where}, pose{world}", record[f"pose{world}"], _BODY * _VECTOR)
    trans = record.get(f"trans{world}")
    moved = None if trans is None else _numbers(path, f"{where}, trans{world}", trans, _VECTOR)
    if moved is not None and len(moved) != len(pose):
        raise DataError(f"{path}, {where}: {len(pose)} poses, {len(moved)} places")
    frames = _frame_ids(path, where, record, len(pose))
    betas = _betas(path, where, record.get("betas"))
    return _Track(frames, None, pose.reshape(-1, _BODY, _VECTOR), betas, moved)


def _betas(path: Path, where: str, value: Any) -> Floats:
    """Return one shape for all frames: the median of each coefficient."""
    if not isinstance(value, np.ndarray) or not value.size:
        return np.zeros(0)
    rows = _numbers(path, f"{where}, betas", value, value.shape[-1] if value.ndim else 1)
    return np.asarray(np.median(rows, axis=0), np.float64)


def _gvhmr_track(path: Path, root: Mapping[Any, Any]) -> _Track:
    given, where = _gvhmr(root), "smpl_params_global"
    missing = [key for key in ("global_orient", "transl") if key not in given]
    if missing:
        raise DataError(f"{path}, {where}: no {', '.join(missing)}; save all of it")
    turned = _numbers(path, f"{where}, global_orient", given["global_orient"], _VECTOR)
    body = _numbers(path, f"{where}, body_pose", given["body_pose"], _VECTOR)
    joints = len(body) // max(len(turned), 1)
    trans = _numbers(path, f"{where}, transl", given["transl"], _VECTOR)
    if joints not in (21, 23) or len(body) != joints * len(turned) or len(trans) != len(turned):
        raise DataError(
            f"{path}, {where}: body_pose of {len(body)} joints, global_orient of {len(turned)}, "
            f"transl of {len(trans)} frames do not go together"
        )
    pose = np.zeros((len(turned), _BODY, _VECTOR))
    pose[:, 0], pose[:, 1 : 1 + joints] = turned, body.reshape(len(turned), joints, _VECTOR)
    betas = _betas(path, where, given.get("betas"))
    return _Track(np.arange(len(pose)), None, pose, betas, trans)


def _phalp(path: Path, images: Mapping[str, Mapping[str, Any]]) -> dict[str, _Track]:
    """Return PHALP's people, of which each image holds some."""
    names = sorted(images, key=in_order)
    rows: dict[str, list[tuple[int, Any, Any]]] = {}
    numbers = frame_numbers([Path(name).name for name in names]).tolist()
    for number, name in zip(numbers, names, strict=True):
        for who, smpl, joints in _seen(path, name, images[name]):
            rows.setdefault(who, []).append((number, smpl, joints))
    return {who: _phalp_track(path, who, seen) for who, seen in rows.items()}


def _seen(path: Path, name: str, image: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield who was seen in an image, and not only foretold: id, SMPL's numbers, joints."""
    ids, foretold = image["tid"], image.get("tracked_time")
    smpl, joints = image.get("smpl"), image.get("3d_joints")
    if not isinstance(ids, list | np.ndarray):
        raise DataError(f"{path}, {name}: tid is no list of who was seen; save it again")
    for place, who in enumerate(ids):
        if isinstance(foretold, list) and place < len(foretold) and foretold[place] != 0:
            continue
        one = smpl[place] if isinstance(smpl, list) and place < len(smpl) else None
        points = joints[place] if isinstance(joints, list) and place < len(joints) else None
        if isinstance(one, dict) or isinstance(points, np.ndarray):
            yield str(who), one if isinstance(one, dict) else None, points


def _phalp_track(path: Path, who: str, seen: list[tuple[int, Any, Any]]) -> _Track:
    where = f"person {who}"
    frames = np.array([number for number, _, _ in seen], np.int64)
    pose = joints = None
    betas = np.zeros(0)
    if all(smpl is not None for _, smpl, _ in seen):
        pose = np.stack([_vectors(path, where, smpl) for _, smpl, _ in seen])
        shapes = [
            _numbers(path, f"{where}, betas", smpl.get("betas", 0.0), 1) for _, smpl, _ in seen
        ]
        if len({len(one) for one in shapes}) == 1:
            betas = np.asarray(np.median(shapes, axis=0)[:, 0], np.float64)
    if all(isinstance(points, np.ndarray) for _, _, points in seen):
        rows = [_numbers(path, f"{where}, 3d_joints", points, _VECTOR) for _, _, points in seen]
        if len({len(one) for one in rows}) == 1:
            joints = np.stack(rows)
    if pose is None and joints is None:
        raise DataError(f"{path}, {where}: neither smpl nor 3d_joints in each of its frames")
    return _Track(frames, joints, pose, betas, None)


def _vectors(path: Path, where: str, smpl: Mapping[str, Any]) -> Floats:
    """Return a frame's rotations as axis-angles, (24, 3)."""
    from scipy.spatial.transform import Rotation

    parts = [smpl.get(key, 0.0) for key in ("global_orient", "body_pose")]
    matrices = np.concatenate(
        [_numbers(path, f"{where}, smpl", part, _VECTOR * _VECTOR) for part in parts]
    ).reshape(-1, _VECTOR, _VECTOR)
    if len(matrices) != _BODY or not np.isfinite(matrices).all():
        raise DataError(f"{path}, {where}: {len(matrices)} rotations, SMPL has {_BODY}")
    try:
        return np.asarray(Rotation.from_matrix(matrices).as_rotvec(), np.float64)
    except ValueError:
        raise DataError(f"{path}, {where}: a matrix that turns nothing; save it again") from None


def _motion(path: Path, tracks: Mapping[str, _Track], up: Axis | None) -> Motion:
    models = Settings.current().smpl
    rotations = all(one.pose_FJ3 is not None for one in tracks.values())
    stored = all(one.joints_FJ3 is not None for one in tracks.values())
    if not stored and not rotations:
        raise DataError(f"{path}: some people have joints, some rotations alone; split them")
    if rotations and models is None and not stored:
        raise DataError(
            f"{path}: holds rotations of SMPL bodies; name the folder of the model "
            f"(SMPL_NEUTRAL.pkl, ...) in ${VARIABLES['smpl']}, so that joints can be computed"
        )
    rest = None
    if rotations and models is not None:
        from poise.mocap.formats.body_model import Bodies

        rest = _rest(path, tracks)
        body = Bodies(models).of(rest.gender, rest.family)
        places = {
            who: body.joints(one.pose_FJ3, one.betas, one.trans_F3)
            for who, one in rest.people.items()
        }
        names, skeleton = _names(path, [_BODY])
    else:
        places = {who: one.joints_FJ3 for who, one in tracks.items()}  # type: ignore[misc]
        names, skeleton = _names(path, [one.shape[1] for one in places.values()])
    fixed = not any(one.trans_F3 is not None for one in tracks.values())
    ordered = sorted(tracks, key=in_order)
    numbers_F, owners = np.unique(
        np.concatenate([tracks[who].frames_F for who in ordered]), return_inverse=True
    )
    order = np.argsort(owners, kind="stable")
    ids = [who for who in ordered for _ in range(len(tracks[who].frames_F))]
    entries = Entries(
        path=path,
        frames_E=owners[order],
        numbers_F=numbers_F,
        poses_EJD=np.concatenate([places[who] for who in ordered])[order],
        confidence_EJ=None,
        ids_E=[ids[place] for place in order.tolist()],
    )
    return entries.motion(
        names,
        skeleton=skeleton,
        unit="m",
        up=up,
        rest=rest,
        notes=("each pose stands where its body has its origin: where people are is not read",)
        if fixed
        else (),
    )


def _rest(path: Path, tracks: Mapping[str, _Track]) -> BodyRest:
    people = {
        who: Turned(
            one.frames_F,
            one.pose_FJ3,
            np.zeros((len(one.frames_F), _VECTOR)) if one.trans_F3 is None else one.trans_F3,
            one.betas,
        )
        for who, one in tracks.items()
        if one.pose_FJ3 is not None
    }
    return BodyRest(path, "neutral", "", people)


def _names(path: Path, counts: list[int]) -> tuple[tuple[str, ...], str | None]:
    if len(set(counts)) > 1:
        raise DataError(f"{path}: people of {' and '.join(map(str, sorted(set(counts))))} joints")
    first = joint_sets()["body_25"].joints
    if counts[0] == len(first) + len(_MORE):
        return (*first, *_MORE), None
    if counts[0] == _BODY:
        return joint_sets()["smpl24"].joints, "smpl24"
    return tuple(map(str, range(counts[0]))), None


FORMATS: Final = (
    Format(
        name="smpl",
        about="results of VIBE, WHAM, 4DHumans, GVHMR: SMPL bodies, as joints",
        endings=(".pkl", ".pt"),
        fields=_FIELDS,
        fits=_fits,
        read=_read,
        dims=(3,),
        holds=frozenset({"people", "identity", "unit"}),
    ),
)
