"""NumPy arrays: npy, and npz with names of joints, times and confidences beside them."""

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from poise.motion.format import Format, Sample, Written
from poise.motion.motion import Motion
from poise.motion.names import checked_names, known_joints
from poise.motion.rates import rate_of, tidy_rate
from poise.readers.untrusted.budget import Budget, BudgetError
from poise.readers.untrusted.object_npz import Member, listed, plain_array, single_value
from poise.readers.untrusted.safe_pickle import RefusedError
from poise.runtime.errors import DataError, in_short

_POSES: Final = ("poses", "keypoints", "kpts", "joints_3d", "keypoints_3d", "joints3d", "xyz",
                 "positions", "joints_2d", "keypoints_2d", "coords", "landmarks", "skeleton",
                 "points", "data", "arr_0", "joints")  # fmt: skip
_SURE: Final = ("confidence", "confidences", "conf", "scores", "keypoint_scores", "visibility",
                "likelihood")  # fmt: skip
_RATES: Final = ("fps", "frame_rate", "framerate", "mocap_frame_rate", "mocap_framerate", "rate")
_NAMES: Final = ("joints", "joint_names", "names", "keypoint_names", "bodyparts")
_FIELDS: Final = {
    "poses": "(F, J, D) or (F, P, J, D); NaN where a joint was not seen. Also called "
    f"{', '.join(_POSES[1:8])} ...; where a last axis of 3 or 4 ends in confidences from 0 to 1 "
    "beside pixels, those are taken off",
    "confidence": "(F, J) or (F, P, J)",
    "times, fps, frames": "seconds, frames a second, numbers of the frames",
    "joints, people, unit, up": "names, and what `Motion` calls so",
    "other arrays": "kept as they are",
}
_MAGIC: Final = b"\x93NUMPY"
#: Coordinates of pixels go beyond this; those of a body in metres do not.
_PIXELS: Final = 20.0


@dataclass(frozen=True)
class _Rest:
    path: Path
    key: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    glued: bool
    sure_key: str


def _fits_npy(sample: Sample) -> bool:
    return sample.head.startswith(_MAGIC)


def _fits_npz(sample: Sample) -> bool:
    return bool(sample.keys)


def _key(sample: Sample) -> str | None:
    """Return the key of an npz file under which poses are, or None where none is surely they."""
    shapes = {key: _shape(sample.path, key) for key in sample.keys[:200]}
    able = [key for key, shape in shapes.items() if shape and len(shape) in (2, 3, 4)]
    named = [key for key in _POSES if key in able]
    if named:
        return named[0]
    deep = [
        key
        for key in able
        if len(shapes[key] or ()) in (3, 4) and (shapes[key] or (0,))[-1] in (2, 3, 4)
    ]
    return deep[0] if len(deep) == 1 else None


def _shape(path: Path, key: str) -> tuple[int, ...] | None:
    """Return the shape of a plain array of numbers; None of anything else."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{key}.npy") as stream:
            version = npy.read_magic(stream)
            read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, _, dtype = read(stream)
            return shape if dtype.kind in "fiu" else None
    except Exception:  # of damaged archives anything; the reader says what
        return None


def _read_npy(sample: Sample) -> Motion:
    path = sample.path
    try:
        with path.open("rb") as stream:
            member = Member.begin(stream, path.stat().st_size, Budget.of(path))
            if member.dtype.kind not in "fiu":
                raise DataError(f"{path}: holds {member.dtype}, no numbers; save plain arrays")
        array = np.load(path, allow_pickle=False)
    except BudgetError as error:
        raise DataError(f"{path}: refused: {error}") from None
    except RefusedError as error:
        raise DataError(f"{path}: refused {error}; save plain arrays of numbers") from None
    except DataError:
        raise
    except Exception as error:  # of a damaged header anything
        raise DataError(f"{path}: no whole npy file ({in_short(error)}); save it again") from None
    return _motion(path, array, None, "", {})


def _read_npz(sample: Sample) -> Motion:
    path, key = sample.path, _key(sample)
    if key is None:
        raise DataError(
            f"{path}: of {listed(sample.keys)} none is surely the poses; save (frames, joints, "
            "dimensions) under the name poses"
        )
    told: dict[str, Any] = {}
    for name in ("times", "frames", "people", "unit", "up"):
        if name in sample.keys:
            told[name] = plain_array(path, name)
    rate = next((name for name in _RATES if name in sample.keys), None)
    if rate:
        told["fps"] = single_value(path, rate)
    names = next((name for name in _NAMES if name in sample.keys and name != key), None)
    if names:
        told["joints"] = plain_array(path, names)
    sure_key = next((name for name in _SURE if name in sample.keys), "")
    sure = plain_array(path, sure_key) if sure_key else None
    return _motion(path, plain_array(path, key), sure, key, told, sure_key)


def _motion(
    path: Path,
    array: NDArray[Any],
    sure: NDArray[Any] | None,
    key: str,
    told: dict[str, Any],
    sure_key: str = "",
) -> Motion:
    poses, glued, notes = _poses(path, array)
    frames, people, joints = poses.shape[:3]
    confidence = None
    if glued:
        poses, confidence = poses[..., :-1], poses[..., -1]
    elif sure is not None and sure.size == frames * people * joints:
        confidence = sure.reshape(frames, people, joints).astype(np.float64)
    named = [str(one) for one in np.ravel(told["joints"])] if "joints" in told else []
    if len(named) != joints:
        named = [*map(str, range(joints))]
    names, skeleton = known_joints(checked_names(path, named))
    ids = [str(one) for one in np.ravel(told["people"])] if "people" in told else []
    fps = _rate(told.get("fps"))
    times, numbers = _line(told.get("times"), frames), _line(told.get("frames"), frames)
    if times is not None and fps is None:
        fps = rate_of(times)
    return Motion(
        poses_FPJD=np.ascontiguousarray(poses),
        joints=names,
        people=tuple(ids) if len(ids) == people else tuple(map(str, range(people))),
        confidence_FPJ=confidence,
        fps=fps,
        times_F=times if fps else None,  # type: ignore[arg-type]
        frames_F=None if numbers is None else numbers.astype(np.int64),  # type: ignore[arg-type]
        skeleton=skeleton,
        unit=_word(told.get("unit")),
        up=_word(told.get("up")),
        entries_FP=np.repeat(np.arange(frames)[:, None], people, 1),
        rest=_Rest(path, key, array.shape, array.dtype, glued, sure_key),
        source=path,
        notes=notes,
    )


def _poses(path: Path, array: NDArray[Any]) -> tuple[NDArray[Any], bool, tuple[str, ...]]:
    """Return poses as (F, P, J, D), whether confidences are their last number, and what to say."""
    shape = array.shape
    if len(shape) == 2 and shape[1] % 3 == 0:
        array = array.reshape(shape[0], 1, -1, 3)
    elif len(shape) == 3:
        array = array[:, None]
    if array.ndim != 4 or not array.size or not 2 <= array.shape[-1] <= 4:
        raise DataError(
            f"{path}: an array of shape {shape}; expected (frames, joints, dimensions) or (frames, "
            "people, joints, dimensions), of 2 or 3 dimensions"
        )
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float64)
    last = array[..., -1]
    sure = not ((last < 0) | (last > 1)).any() and not np.isnan(last).all()
    flat = array.shape[-1] == 3 and sure and np.nanmax(np.abs(array[..., :2]), initial=0) > _PIXELS
    if array.shape[-1] == 4 or flat:
        return array, True, ("the last number of each joint is taken for its confidence",)
    return array, False, ()


def _rate(value: Any) -> float | None:
    try:
        fps = float(value)
    except (TypeError, ValueError):
        return None
    return tidy_rate(fps) if np.isfinite(fps) and fps > 0 else None


def _line(values: NDArray[Any] | None, frames: int) -> NDArray[np.float64] | None:
    if values is None or values.size != frames or values.dtype.kind not in "fiu":
        return None
    return values.ravel().astype(np.float64)


def _word(values: NDArray[Any] | None) -> Any:
    if values is None or values.size != 1:
        return None
    return str(values.ravel()[0]) or None


def _array(motion: Motion, rest: _Rest | None) -> NDArray[Any]:
    """Return the poses in the shape that the file had, else (F, J, D) where there is one person."""
    poses: NDArray[Any] = motion.poses_FPJD
    if rest is not None and rest.glued and motion.confidence_FPJ is not None:
        poses = np.concatenate([poses, motion.confidence_FPJ[..., None]], -1)
    if rest is not None and poses.size == np.prod(rest.shape):
        return poses.reshape(rest.shape).astype(rest.dtype if rest.dtype.kind == "f" else float)
    return poses[:, 0] if poses.shape[1] == 1 else poses


def _write_npy(motion: Motion) -> Written:
    out = io.BytesIO()
    rest = motion.rest if isinstance(motion.rest, _Rest) else None
    np.save(out, _array(motion, rest), allow_pickle=False)
    return out.getvalue()


def _write_npz(motion: Motion) -> Written:
    rest = motion.rest if isinstance(motion.rest, _Rest) and motion.rest.key else None
    if rest is not None and len(motion) == rest.shape[0]:
        new = {rest.key: _array(motion, rest)}
        if rest.sure_key and motion.confidence_FPJ is not None:
            old = plain_array(rest.path, rest.sure_key)
            if old.size == motion.confidence_FPJ.size:
                new[rest.sure_key] = motion.confidence_FPJ.reshape(old.shape).astype(old.dtype)
        return with_arrays(rest.path, new)
    arrays: dict[str, Any] = {
        "poses": _array(motion, None),
        "joints": np.array(motion.joints),
        "people": np.array(motion.people, dtype=str),
        "frames": motion.frames_F,
    }
    if motion.confidence_FPJ is not None:
        arrays["confidence"] = motion.confidence_FPJ
    if motion.rate_known:
        arrays |= {"fps": np.array(motion.fps), "times": motion.times_F}
    words = {"unit": motion.unit, "up": motion.up}
    arrays |= {name: np.array(word) for name, word in words.items() if word}
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)
    return out.getvalue()


def with_arrays(path: Path, arrays: dict[str, NDArray[Any]]) -> bytes:
    """Return an npz file with some arrays in place of those it has; the others are copied.

    Raises:
        DataError: one of the others is damaged.
    """
    out = io.BytesIO()
    try:
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
            for info in old.infolist():
                array = arrays.get(info.filename.removesuffix(".npy"))
                if array is None:
                    Budget.of(path).member(info.file_size)
                    new.writestr(info, old.read(info))
                    continue
                made = io.BytesIO()
                np.lib.format.write_array(made, np.asanyarray(array))
                new.writestr(info.filename, made.getvalue())
    except Exception as error:  # of a damaged archive anything
        raise DataError(
            f"{path}: what else it holds is damaged ({in_short(error)}); write another file"
        ) from None
    return out.getvalue()


_ALL: Final = frozenset({"people", "identity", "confidence", "names", "rate", "times", "unit"})
FORMATS: Final = (
    Format(
        name="npy",
        about="a NumPy array; freemocap's too",
        endings=(".npy",),
        fields={"the array": "(F, J, D) or (F, P, J, D); NaN where a joint was not seen"},
        fits=_fits_npy,
        read=_read_npy,
        write=_write_npy,
        holds=frozenset({"people", "identity"}),
    ),
    Format(
        name="npz",
        about="NumPy arrays by name",
        endings=(".npz",),
        fields=_FIELDS,
        fits=_fits_npz,
        read=_read_npz,
        write=_write_npz,
        holds=_ALL,
    ),
)
