"""Reads any keypoint file, and writes one: the format is told by the content."""

import shutil
import uuid
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Final

from poise.catalog.joint_sets import joint_sets, of_count, read_joint_set
from poise.motion.format import Format, Parts, Sample
from poise.motion.motion import Motion
from poise.motion.names import which_skeleton
from poise.motion.space import told
from poise.motion.units import Axis, Unit
from poise.runtime.errors import DataError

#: The modules of `poise.motion.formats`, those with the plainest marks first.
_MODULES: Final = (
    "capture.trc", "capture.mot", "capture.c3d", "capture.bvh", "capture.mvnx", "json.coco",
    "json.openpose", "json.mmpose", "json.ultralytics", "json.sensors", "json.mediapipe",
    "tables.yolo_labels", "arrays.smoothnet", "bodies.amass", "bodies.results",
    "arrays.numpy_files", "arrays.pose_file", "tables.parquet", "tables.sleap", "tables.deeplabcut",
    "tables.kinect", "tables.kinovea", "tables.csv_table",
)  # fmt: skip
#: What an ending means that several formats have.
_USUAL: Final = ("csv", "npz")


@cache
def formats() -> tuple[Format, ...]:
    """Return all formats; of several that fit a file the first counts."""
    modules = [import_module(f"poise.motion.formats.{name}") for name in _MODULES]
    return tuple(one for module in modules for one in module.FORMATS)


def format_called(name: str) -> Format:
    """Return a format by its name; raise `DataError` where there is none."""
    for one in formats():
        if one.name == name:
            return one
    raise DataError(
        f"no format {name!r}; there are {', '.join(one.name for one in formats())} (poise formats)"
    )


def format_of(sample: Sample) -> Format:
    """Return the format that a file's content is in; raise `DataError` where it is in none."""
    for one in formats():
        if one.fits(sample):
            return one
    if not sample.is_folder and not sample.head:
        raise DataError(f"{sample.path}: is empty; copy or export it again")
    what = "folder" if sample.is_folder else "file"
    raise DataError(
        f"{sample.path}: no keypoint {what} Poise knows, by its content; poise formats lists what "
        "is read"
    )


def read(
    path: str | Path,
    *,
    format: str | None = None,
    skeleton: str | Path | None = None,
    fps: float | None = None,
    unit: Unit | None = None,
    up: Axis | None = None,
    image: tuple[float, float] | None = None,
) -> Motion:
    """Read a keypoint file, or a folder of files that are one recording.

    Args:
        path: the file.
        format: a name of ``poise formats``; None tells it by the content.
        skeleton: a joint set for joints that the file does not name, or names otherwise; or the
            path (a `Path`) of a TOML file with joints of your own.
        fps: frames a second, where the file does not say or is wrong.
        unit: of the coordinates, likewise; nothing is scaled.
        up: the axis that points up, likewise.
        image: width and height of the image that coordinates are shares of, likewise; a height of
            1 says its shape alone.

    Raises:
        DataError: missing, damaged, or of no known format; one line with file, place, reason and
            what to do.
    """
    sample = Sample(Path(path))
    form = format_called(format) if format else format_of(sample)
    try:
        motion = form.read(sample)
    except (MemoryError, RecursionError):
        raise DataError(f"{path}: needs more memory than there is; cut it into takes") from None
    motion = replace(motion, format=form.name, source=sample.path)
    if skeleton is not None:
        motion = with_skeleton(motion, skeleton)
    elif motion.skeleton is None and (which := which_skeleton(motion.joints)):
        motion = replace(motion, notes=(*motion.notes, which))
    if fps is not None:
        motion = motion.at_rate(fps)
    image = image or motion.image
    return told(replace(motion, unit=unit or motion.unit, up=up or motion.up, image=image))


def with_skeleton(motion: Motion, name: str | Path) -> Motion:
    """Name the joints by a joint set, or by somebody's own in a TOML file.

    Raises:
        DataError: there is none of that name, or it has another number of joints.
    """
    own = read_joint_set(name) if isinstance(name, Path) else None
    known = own or joint_sets().get(str(name))
    if known is None:
        raise DataError(
            f"no skeleton {str(name)!r}; there are {', '.join(joint_sets())}, "
            "and TOML files of your own"
        )
    if len(known.joints) != len(motion.joints):
        fitting = ", ".join(one.name for one in of_count(len(motion.joints))) or "none"
        raise DataError(
            f"{motion.source}: {len(motion.joints)} joints, {name} has {len(known.joints)}; of so "
            f"many joints: {fitting}"
        )
    if own is not None:
        return replace(motion, joints=own.joints, skeleton=None, bones=own.bones or None)
    return replace(motion, joints=known.joints, skeleton=known.name)


def can_write(form: Format, motion: Motion) -> bool:
    """Say whether a format is written of a motion from such a file, whatever its dimensions."""
    own = motion.format in form.only_over and motion.rest is not None
    return form.write is not None and (own or not form.only_over)


def _order(form: Format, motion: Motion) -> tuple[bool, bool, bool]:
    """Return what formats of one ending are sorted by: what keeps most of the file is first."""
    crowded = len(motion.people) > 1 and "people" not in form.holds
    kin = motion.format in form.only_over and not crowded
    return form.name != motion.format, not kin, form.name not in _USUAL


def writer(motion: Motion, path: Path, name: str | None = None) -> Format:
    """Return the format a motion is written in to a path.

    Args:
        motion: its own format counts first.
        path: its ending must be one of the format's.
        name: a format, whatever the ending is.

    Raises:
        DataError: no format is written to such a file, or it does not hold such joints.
    """
    if name is not None:
        found = format_called(name)
    else:
        ending = path.suffix.lower() or "/"
        able = [one for one in formats() if ending in one.endings and can_write(one, motion)]
        able.sort(key=lambda one: _order(one, motion))
        if not able:
            known = sorted({e for one in formats() if can_write(one, motion) for e in one.endings})
            raise DataError(
                f"{path}: no format is written to {ending}; there are {' '.join(known)} "
                "(poise formats)"
            )
        found = next((one for one in able if motion.dims in one.dims), able[0])
    if motion.dims not in found.dims:
        held = " or ".join(f"{dims}D" for dims in found.dims)
        raise DataError(f"{path}: {found.name} holds {held} joints, these are {motion.dims}D")
    return found


def write(motion: Motion, path: Path, format: str | None = None) -> Path:
    """Write a motion, whole or not at all; see `Motion.write`."""
    form = writer(motion, path, format)
    if form.write is None:
        raise DataError(f"{path}: {form.name} is read and not written")
    try:
        written = form.write(motion)
    except RecursionError:
        raise DataError(f"{path}: {form.name} cannot hold a chain of so many joints") from None
    endings = {ending for one in formats() for ending in one.endings}
    if not isinstance(written, bytes | Parts) and path.suffix.lower() in endings:
        raise DataError(f"{path}: {form.name} is a folder of files; name one without an ending")
    if isinstance(written, bytes | Parts):
        from poise.runtime import storage  # pyarrow takes half a second to import

        parts = [written] if isinstance(written, bytes) else written.parts
        storage.write_parts(path.absolute(), parts)
    else:
        _write_folder(path.absolute(), written)
    return path


def lost(motion: Motion, form: Format) -> list[str]:
    """Return what a format cannot hold of a motion, in words."""
    found = []
    if len(motion.people) > 1 and "people" not in form.holds:
        found.append(f"all people but the first ({motion.people[0]})")
    elif motion.identified and len(motion.people) > 1 and "identity" not in form.holds:
        found.append("who is who")
    if motion.confidence_FPJ is not None and "confidence" not in form.holds:
        found.append("confidences")
    taken_for = form.sets.get(len(motion.joints))
    if "names" not in form.holds and (motion.skeleton is None or taken_for != motion.skeleton):
        which = f"; so many are taken for {taken_for}" if taken_for else ""
        found.append(f"names of joints{which}")
    if motion.rate_known and "rate" not in form.holds:
        found.append("the frame rate")
    if motion.unit is not None and "unit" not in form.holds:
        found.append(f"the unit ({motion.unit})")
    if form.rigid:
        found.append("lengths of bones that change: each is held at its median")
        if not motion.seen_FPJ[:, 0].all():
            found.append("gaps: what was not seen is turned as in the nearest frame that shows it")
    if motion.rest is not None and form.name != motion.format:
        found.append(f"what else the {motion.format} file holds")
    return found


def _write_folder(folder: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Write a folder of files under another name first; an earlier one is replaced as a whole."""
    scratch = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    try:
        scratch.mkdir(parents=True)
        for name, content in files:
            (scratch / name).write_bytes(content)
        if folder.exists():
            others = {one.name for one in folder.iterdir()} - {
                one.name for one in scratch.iterdir()
            }
            if others:
                raise DataError(
                    f"{folder}: holds other files ({min(others)}); name a folder that is new"
                )
            old = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
            folder.rename(old)
            scratch.rename(folder)
            shutil.rmtree(old)
        else:
            scratch.rename(folder)
    finally:
        with suppress(OSError):
            shutil.rmtree(scratch)
