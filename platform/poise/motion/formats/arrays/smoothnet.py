"""The npz files of SmoothNet and DeciWatch: object arrays with an entry for each sequence."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from poise.motion.format import Format, Sample, Written
from poise.motion.formats.arrays.numpy_files import with_arrays
from poise.motion.motion import Motion
from poise.motion.names import known_joints, told_apart
from poise.readers.untrusted.object_npz import ObjectColumn
from poise.readers.untrusted.safe_pickle import Refused
from poise.runtime.errors import DataError

_KEYS: Final = {"joints_3d": 3, "keypoints_3d": 3, "joints_2d": 2, "keypoints_2d": 2}
_FIELDS: Final = {
    "joints_3d": "for each sequence (F, J * 3), metres or millimetres",
    "joints_2d": "for each sequence (F, J * 2), pixels",
    "imgname": "paths of the images; kept as they are, as is everything else",
}
#: Of all sequences, each as long as the longest.
_MOST_BYTES: Final = 4 * 2**30


@dataclass(frozen=True)
class _Rest:
    path: Path
    key: str
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[np.dtype[Any], ...]
    is_object: bool


def _key(sample: Sample) -> str:
    return next((key for key in _KEYS if key in sample.keys), "")


def _fits(sample: Sample) -> bool:
    return bool(_key(sample)) and "imgname" in sample.keys


def _read(sample: Sample) -> Motion:
    path, key = sample.path, _key(sample)
    if not key:
        raise DataError(f"{path}: none of {', '.join(_KEYS)} in it")
    dims = _KEYS[key]
    sequences: list[NDArray[Any]] = []
    column = ObjectColumn(path, key)
    for place, entry in enumerate(column):
        where = f"{path}, {key}, sequence {place}"
        if isinstance(entry, Refused):
            raise DataError(f"{where}: {entry}")
        try:
            poses = np.asarray(entry, np.float32 if _is_single(entry) else np.float64)
        except (TypeError, ValueError):
            raise DataError(f"{where}: no array of numbers") from None
        if poses.ndim < 2 or not poses.size or poses[0].size % dims:
            raise DataError(f"{where}: shape {poses.shape}, expected (frames, joints * {dims})")
        if sequences and poses[0].size != sequences[0][0].size:
            raise DataError(
                f"{where}: {poses[0].size // dims} joints, the one before has "
                f"{sequences[0][0].size // dims}"
            )
        sequences.append(poses)
    if not sequences:
        raise DataError(f"{path}: no sequences")
    longest, joints = max(map(len, sequences)), sequences[0][0].size // dims
    if longest * len(sequences) * joints * dims * 8 > _MOST_BYTES:
        raise DataError(
            f"{path}: {len(sequences):,} sequences of up to {longest:,} frames are more than one "
            "file's; it is a track: poise ingest, poise evaluate"
        )
    dtype = np.result_type(*{one.dtype for one in sequences})
    together = np.full((longest, len(sequences), joints, dims), np.nan, dtype)
    entries = np.full(together.shape[:2], -1)
    for place, poses in enumerate(sequences):
        together[: len(poses), place] = poses.reshape(len(poses), joints, dims)
        entries[: len(poses), place] = np.arange(len(poses))
    names, skeleton = known_joints([*map(str, range(joints))])
    several = (f"{len(sequences)} sequences, each shown as a person",) if len(sequences) > 1 else ()
    return Motion(
        poses_FPJD=together,
        joints=names,
        people=_who(path, len(sequences)),
        skeleton=skeleton,
        unit="px" if dims == 2 else None,
        entries_FP=entries,
        rest=_Rest(
            path,
            key,
            tuple(one.shape for one in sequences),
            tuple(one.dtype for one in sequences),
            column.dtype == object,
        ),
        source=path,
        notes=several,
    )


def _is_single(entry: Any) -> bool:
    return isinstance(entry, np.ndarray) and entry.dtype == np.float32


def _who(path: Path, count: int) -> tuple[str, ...]:
    """Name each sequence by the folder of its images, where those are told."""
    names = []
    for place, entry in enumerate(ObjectColumn(path, "imgname")):
        first = entry
        while isinstance(first, list | np.ndarray) and len(first):
            first = first[0]
        text = first.decode(errors="replace") if isinstance(first, bytes) else str(first)
        folder = text.rpartition("/")[0] if isinstance(first, str | bytes) else ""
        names.append(folder[:200] or str(place))
    return told_apart(names) if len(names) == count else tuple(map(str, range(count)))


def _write(motion: Motion) -> Written:
    rest = motion.rest
    if not isinstance(rest, _Rest) or len(rest.shapes) != len(motion.people):
        raise DataError("smoothnet is written only over such a file; write .npz for plain arrays")
    found = np.empty(len(rest.shapes), object)
    for place, (shape, dtype) in enumerate(zip(rest.shapes, rest.dtypes, strict=True)):
        if len(motion) < shape[0]:
            raise DataError(f"{rest.path}: sequence {place} has {shape[0]} frames; write .npz")
        found[place] = motion.poses_FPJD[: shape[0], place].reshape(shape).astype(dtype)
    if not rest.is_object:
        return with_arrays(rest.path, {rest.key: np.stack(list(found))})
    return with_arrays(rest.path, {rest.key: found})


FORMATS: Final = (
    Format(
        name="smoothnet",
        about="SmoothNet's and DeciWatch's npz; written only in place of such a file",
        endings=(".npz",),
        fields=_FIELDS,
        fits=_fits,
        read=_read,
        write=_write,
        holds=frozenset({"people", "identity"}),
        only_over=("smoothnet",),
    ),
)
