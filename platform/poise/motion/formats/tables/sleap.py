"""SLEAP's analysis files (HDF5): any animal."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from poise.motion.format import Format, Sample, Written
from poise.motion.motion import Motion
from poise.motion.names import checked_names, known_joints
from poise.motion.tables.hdf5 import changed, dataset, is_hdf5, opened, texts
from poise.motion.tables.tracks import has_room, person_places
from poise.runtime.errors import DataError

_FIELDS: Final = {
    "tracks": "(tracks, 2, nodes, frames) in pixels; NaN where a node was not seen. Exported "
    "without transposing: (frames, nodes, 2, tracks)",
    "point_scores": "(tracks, nodes, frames): how sure the network is",
    "track_names, node_names": "who it is, and names of the joints",
    "track_occupancy": "where a track has something; written anew",
    "everything else": "kept as it is",
}


@dataclass(frozen=True)
class _Rest:
    path: Path
    people: tuple[str, ...]
    transposed: bool
    frames: int


def _fits(sample: Sample) -> bool:
    if not is_hdf5(sample):
        return False
    with opened(sample.path) as file:
        return "tracks" in file and "node_names" in file


def _read(sample: Sample) -> Motion:
    path = sample.path
    with opened(path) as file:
        nodes = texts(path, file, "node_names")
        tracks = np.asarray(dataset(path, file, "tracks")[()])
        people = texts(path, file, "track_names") if "track_names" in file else []
        scores = None
        if "point_scores" in file:
            scores = np.asarray(dataset(path, file, "point_scores")[()], np.float64)
    if tracks.ndim != 4 or tracks.dtype.kind != "f" or not tracks.size:
        raise DataError(f"{path}: tracks have shape {tracks.shape}, expected four axes")
    # (P, D, J, F), or its transpose.
    transposed = tracks.shape[2] == len(nodes) and tracks.shape[1] in (2, 3)
    if not transposed:
        tracks = tracks.T
    if tracks.shape[2] != len(nodes) or tracks.shape[1] not in (2, 3):
        raise DataError(f"{path}: tracks of shape {tracks.shape} do not fit {len(nodes)} nodes")
    poses = np.ascontiguousarray(tracks.transpose(3, 0, 2, 1))
    if poses.dtype not in (np.float32, np.float64):
        poses = poses.astype(np.float64)
    frames, count, joints, dims = poses.shape
    if len(set(people)) != count:
        people = [*map(str, range(count))]
    confidence = None
    if scores is not None and scores.ndim == 3:
        scores = scores if transposed else scores.T
        if scores.shape == (count, joints, frames):
            confidence = np.ascontiguousarray(scores.transpose(2, 0, 1))
    names, skeleton = known_joints(checked_names(path, nodes))
    return Motion(
        poses_FPJD=poses,
        confidence_FPJ=confidence,
        joints=names,
        people=tuple(people),
        skeleton=skeleton,
        unit="px" if dims == 2 else None,
        up="-y" if dims == 2 else None,
        entries_FP=np.repeat(np.arange(frames)[:, None], count, 1),
        rest=_Rest(path, tuple(people), transposed, frames),
        source=path,
    )


def _arrays(motion: Motion, places: list[int]) -> dict[str, NDArray[Any]]:
    """Return the arrays of an analysis file, transposed as SLEAP does by itself."""
    poses = motion.poses_FPJD[:, places]
    found: dict[str, NDArray[Any]] = {"tracks": poses.transpose(1, 3, 2, 0)}
    found["track_occupancy"] = np.asarray(motion.seen_FPJ[:, places].any(-1), np.uint8)
    if motion.confidence_FPJ is not None:
        found["point_scores"] = motion.confidence_FPJ[:, places].transpose(1, 2, 0)
    return found


def _write(motion: Motion) -> Written:
    rest = motion.rest
    if not isinstance(rest, _Rest) or not has_room(motion, rest.people):
        return _new(motion)
    if len(motion) != rest.frames:
        return _new(motion)
    arrays = _arrays(motion, person_places(motion, rest.people))
    with changed(rest.path) as (file, memory):
        for name, values in arrays.items():
            if name in file:
                array = file[name]
                # Occupancy stands the other way round than the rest.
                new = values if rest.transposed else values.T
                if array.shape == new.shape:
                    array[...] = new
    return memory.getvalue()


def _new(motion: Motion) -> bytes:
    import h5py

    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        for name, values in _arrays(motion, [*range(len(motion.people))]).items():
            file.create_dataset(name, data=values, compression="gzip")
        file["node_names"] = np.array([name.encode() for name in motion.joints])
        file["track_names"] = np.array([name.encode() for name in motion.people])
    return out.getvalue()


FORMATS: Final = (
    Format(
        name="sleap",
        about="SLEAP's analysis files, HDF5; any animal",
        endings=(".h5", ".hdf5"),
        fields=_FIELDS,
        fits=_fits,
        read=_read,
        write=_write,
        holds=frozenset({"people", "identity", "confidence", "names"}),
    ),
)
