"""Folders that are written: is there room, and may we? And those that are read: are they there?"""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from poise.doctor.finding import Finding
from poise.doctor.s3 import answers
from poise.runtime import storage
from poise.runtime.errors import CatalogueError, ClusterError, LakeError, in_short
from poise.runtime.ray_cluster.checks import ray_folder
from poise.runtime.settings import VARIABLES, Settings

_GIB = 2**30
_LITTLE, _NONE = 5 * _GIB, _GIB // 2
#: Ray makes no objects on a disk that is fuller.
_FULL_FOR_RAY = 0.95
_TRIAL = 2**20


def check(settings: Settings) -> Iterator[Finding]:
    """Look at the disks of home, lake, temporary files and Ray, then at what is read."""
    yield _disk("disk.home", settings.home, "name another with --home or $POISE_HOME")
    if storage.is_local(settings.lake):
        yield _disk("disk.lake", Path(storage.resolve(settings.lake)[1]), "take another --lake")
    if settings.cache is not None:
        yield _disk("disk.cache", settings.cache, f"another folder in ${VARIABLES['cache']}")
    temporary = "TMPDIR names another folder"
    yield _disk("disk.temporary", Path(os.environ.get("TMPDIR") or "/tmp"), temporary)  # noqa: S108
    yield _ray()
    yield from _read(settings)


def _ray() -> Finding:
    try:
        folder = ray_folder() or Path(
            os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"  # noqa: S108
        )
    except ClusterError as error:
        return Finding("disk.ray", "failed", str(error))
    return _disk("disk.ray", folder, "RAY_TMPDIR names another folder", fullest=_FULL_FOR_RAY)


def _disk(name: str, folder: Path, elsewhere: str, fullest: float = 1.0) -> Finding:
    """Say whether a folder, or the one in which it will be made, can be written."""
    there = next(one for one in (folder, *folder.parents) if one.exists())
    try:
        disk = os.statvfs(there)
        with tempfile.TemporaryFile(dir=there) as file:  # without a name where it can be
            file.write(bytes(_TRIAL))
    except OSError as error:
        return Finding(
            name,
            "failed",
            f"{folder} cannot be written: {in_short(error)}",
            f"mend it, or {elsewhere}",
        )
    free = disk.f_bavail * disk.f_frsize
    share = 1 - free / max(disk.f_blocks * disk.f_frsize, 1)
    said = f"{folder}: {free / _GIB:.1f} GiB free"
    if free < _NONE or share > fullest:
        full = f" and {share:.0%} full, at which Ray makes no objects" if share > fullest else ""
        return Finding(name, "failed", f"{said}{full}", f"make room, or {elsewhere}")
    if free < _LITTLE:
        return Finding(name, "warning", said, f"make room, or {elsewhere}")
    return Finding(name, "ok", said)


def _data(folder: Path) -> Finding:
    try:
        if not answers(str(folder)):
            raise LakeError(f"{folder}: its storage does not answer")
        if (folder / "poses").is_dir():
            return Finding("data", "ok", f"{folder}")
        said = f"{folder} holds no folder poses/"
    except LakeError as error:
        said = str(error)
    cure = f"--data and ${VARIABLES['data']} name the folder that poses/ lies in; s3:// needs AWS_*"
    return Finding("data", "failed", said, cure)


def _read(settings: Settings) -> Iterator[Finding]:
    if settings.data is None:
        yield Finding("data", "skipped", f"no --data and no ${VARIABLES['data']}: no raw tracks")
    else:
        yield _data(settings.data)
    if settings.smpl is not None and not settings.smpl.exists():
        yield Finding(
            "smpl",
            "failed",
            f"{settings.smpl} is not there",
            f"unset ${VARIABLES['smpl']}: SMPL tracks are scored in degrees then",
        )
    try:
        texts = settings.dataset_texts()
    except CatalogueError as error:
        yield Finding("datasets", "failed", str(error), f"mend ${VARIABLES['datasets']}")
    else:
        if texts:
            yield Finding("datasets", "ok", f"{len(texts)} descriptions of data sets of your own")
