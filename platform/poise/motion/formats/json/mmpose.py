"""What MMPose 1.x's inferencer saves: lists of instances, of a video or in a file an image."""

import json
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from poise.catalog.joint_sets import joint_sets, of_names
from poise.motion.format import Format, Sample, Written
from poise.motion.motion import Motion
from poise.motion.names import checked_names
from poise.motion.people import Entries
from poise.motion.text.instances import (
    Frames,
    InstancesRest,
    first_list,
    folder_of_lists,
    in_number_order,
    written,
)
from poise.motion.text.json_text import decimals_of, json_number, list_of, renumbered
from poise.motion.text.triples import id_json, identity, numbers_of
from poise.runtime.errors import DataError

_FIELDS: Final = {
    "instance_info": "the frames; some files are that list alone, and of a folder of images each "
    "has a file with its instances, whose name ends in the frame's number",
    "frame_id": "number of the frame",
    "instances": "everybody in the frame",
    "keypoints": "[x, y] or [x, y, z] of each joint, in pixels; metres, z up, in 3D",
    "keypoint_scores": "how sure the network is of each joint, from 0 to about 1",
    "track_id": "who it is, where a tracker said so",
    "meta_info": "names of the joints (keypoint_id2name); kept as it is, as is bbox",
}
_SETS: Final = {17: "coco17", 26: "halpe26", 133: "wholebody133", 21: "hand21"}


def _frames(document: Any) -> tuple[list[Any], str] | None:
    """Return the frames (or instances) of a file, and the key they are under; None of another."""
    key = ""
    if isinstance(document, dict):
        key = next((one for one in ("instance_info", "predictions") if one in document), "")
        document = document.get(key)
    if not isinstance(document, list) or not document:
        return None
    first = document[0]
    if not isinstance(first, dict):
        return None
    is_frame = isinstance(first.get("instances"), list)
    is_instance = "keypoint_scores" in first and isinstance(first.get("keypoints"), list)
    return (document, key) if is_frame or is_instance else None


def _fits(sample: Sample) -> bool:
    return _frames(first_list(sample) if sample.is_folder else sample.document) is not None


def _in_a_file(sample: Sample) -> tuple[Frames, str, str | None]:
    """Return a file's frames, the key of their list, and the key of each one's instances."""
    path, found = sample.path, _frames(sample.document)
    if found is None:
        raise DataError(f"{path}: no instances in it, as MMPose's inferencer saves them")
    rows, key = found
    if "instances" not in rows[0]:
        return Frames([rows], [0], np.zeros(1, np.int64)), key, None
    if not all(isinstance(frame, dict) for frame in rows):
        raise DataError(f"{path}: a frame that is no object; copy the file again")
    order, numbers_F = in_number_order(path, [frame.get("frame_id") for frame in rows])
    return Frames([frame.get("instances") for frame in rows], order, numbers_F), key, "instances"


def _read(sample: Sample) -> Motion:
    path = sample.path
    contents: list[tuple[str, bytes]] = []
    key, inner = "", None
    if sample.is_folder:
        frames, contents = folder_of_lists(sample)
    else:
        frames, key, inner = _in_a_file(sample)
    places, owners, keypoints, scores, ids = [], [], [], [], []
    shape: tuple[int, int] | None = None
    for at, place, person, instance in frames.people():
        where = f"{path}, frame {frames.numbers_F[at]}, instance {person}"
        joints = _joints(instance, where)
        one = (len(joints), len(joints[0]))
        if shape is not None and one != shape:
            raise DataError(
                f"{where}: {one[0]} joints of {one[1]} dimensions, those before are "
                f"{shape[0]} of {shape[1]}; put each kind into a file of its own"
            )
        shape = one
        scores.append(_told_scores(instance, len(joints)))
        keypoints.append(joints)
        owners.append(at)
        places.append((place, person))
        ids.append(identity(instance.get("track_id")))
    if shape is None:
        raise DataError(f"{path}: nobody in {len(frames.lists)} frames")
    poses = numbers_of(path, keypoints).reshape(-1, *shape)
    confidence = None
    if None not in scores:
        confidence = numbers_of(path, scores).reshape(-1, shape[0])
        poses[(poses == 0.0).all(-1) & ~(confidence > 0.0)] = np.nan
    entries = Entries(
        path=path,
        frames_E=np.array(owners, np.int64),
        numbers_F=frames.numbers_F,
        poses_EJD=poses,
        confidence_EJ=confidence,
        ids_E=None if None in ids else [str(one) for one in ids],
    )
    names, skeleton = _names(path, None if contents else sample.document, shape[0])
    return entries.motion(
        names,
        skeleton=skeleton,
        unit="px" if shape[1] == 2 else "m",
        up="-y" if shape[1] == 2 else "+z",
        rest=InstancesRest.of(sample, frames, places, contents, key, inner),
    )


def _joints(instance: Any, where: str) -> list[list[Any]]:
    joints = instance.get("keypoints") if isinstance(instance, dict) else None
    while isinstance(joints, list) and len(joints) == 1 and _nested(joints[0]):
        joints = joints[0]  # 3D files put each person into a list of its own
    first = joints[0] if isinstance(joints, list) and joints else None
    if not isinstance(first, list) or len(first) not in (2, 3):
        raise DataError(f"{where}: keypoints are no list of [x, y] or [x, y, z]")
    return joints  # type: ignore[return-value]


def _told_scores(instance: Any, joints: int) -> list[Any] | None:
    """Return an instance's scores; None where there is not one for each joint."""
    told = instance.get("keypoint_scores")
    return told if isinstance(told, list) and len(told) == joints else None


def _nested(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], list)


def _names(path: Any, document: Any, joints: int) -> tuple[tuple[str, ...], str | None]:
    """Return the joints' names as the file says, else as the joint set of so many has."""
    meta = document.get("meta_info") if isinstance(document, dict) else None
    told = meta.get("keypoint_id2name") if isinstance(meta, dict) else None
    if isinstance(told, dict) and len(told) == joints:
        names: list[Any] = [told.get(str(number)) for number in range(joints)]
        if all(isinstance(name, str) for name in names):
            found = of_names(names)
            return checked_names(path, names), found.name if found else None
    known = joint_sets().get(_SETS.get(joints, ""))
    return (known.joints, known.name) if known else (tuple(map(str, range(joints))), None)


def _scores(motion: Motion) -> NDArray[np.float64]:
    seen = motion.seen_FPJ
    told = np.ones(seen.shape) if motion.confidence_FPJ is None else motion.confidence_FPJ
    return np.where(seen, np.where(np.isnan(told), 1.0, told), 0.0)


def _write(motion: Motion) -> Written:
    scores = _scores(motion)
    return written(
        motion,
        lambda spot, text, instance: _changed(motion, scores, spot, text, instance),
        lambda spot: _instance(motion, scores, *spot),
        lambda frames: _whole(motion, frames),
    )


def _whole(motion: Motion, frames: list[tuple[int, str]]) -> str:
    names = json.dumps({str(at): name for at, name in enumerate(motion.joints)})
    lines = [f'{{"frame_id": {number}, "instances": [{people}]}}' for number, people in frames]
    text = '{"meta_info": {"keypoint_id2name": ' + names + '},\n "instance_info": [\n'
    return text + ",\n".join(lines) + "]}\n"


def _instance(motion: Motion, scores: NDArray[np.float64], frame: int, person: int) -> str:
    poses = np.nan_to_num(motion.poses_FPJD[frame, person]).tolist()
    joints = ", ".join("[" + ", ".join(json_number(v, 6) for v in row) + "]" for row in poses)
    told = ", ".join(json_number(value, 6) for value in scores[frame, person].tolist())
    who = f', "track_id": {id_json(motion.people[person])}' if motion.identified else ""
    return f'{{"keypoints": [{joints}], "keypoint_scores": [{told}]{who}}}'


def _changed(
    motion: Motion,
    scores: NDArray[np.float64],
    spot: tuple[int, int],
    text: str,
    instance: dict[str, Any],
) -> str:
    """Return an instance's text with other numbers where they are others."""
    old = np.array(instance["keypoints"], np.float64).reshape(-1, motion.dims)
    new, seen = motion.poses_FPJD[spot], motion.seen_FPJ[spot]
    # Where one instance has none of its own, all of them count for nothing.
    told = None if motion.confidence_FPJ is None else _told_scores(instance, len(old))
    was = ~np.isnan(old).any(-1)
    if told is not None:
        was &= ~((old == 0.0).all(-1) & ~(np.array(told, np.float64) > 0.0))
    new = np.where(seen[:, None], new, 0.0)
    same = (new == old) | (~seen & ~was)[:, None]
    text = _with_numbers(text, "keypoints", ~same.ravel(), new.ravel().tolist())
    if told is not None:
        same_J = (scores[spot] == np.array(told, np.float64)) | (~seen & ~was)
        text = _with_numbers(text, "keypoint_scores", ~same_J, scores[spot].tolist())
    return text


def _with_numbers(text: str, key: str, changed: NDArray[np.bool_], values: list[float]) -> str:
    at = list_of(text, key)
    if not changed.any() or at < 0:
        return text
    _, end = json.JSONDecoder().raw_decode(text, at)
    old = text[at:end]
    return text[:at] + renumbered(old, changed, values, decimals_of(old)) + text[end:]


FORMATS: Final = (
    Format(
        name="mmpose",
        about="MMPose 1.x: results of its inferencer, 2D and 3D, of a video or of images",
        endings=(".json", "/"),
        fields=_FIELDS,
        fits=_fits,
        read=_read,
        write=_write,
        holds=frozenset({"people", "identity", "confidence", "names"}),
    ),
)
