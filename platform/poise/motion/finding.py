"""Finds keypoint files by what users type: names, folders at any depth, patterns."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path
from typing import Final

from poise.motion.files import formats
from poise.motion.format import Format, Sample, in_order
from poise.runtime.errors import DataError

#: In the names of files that refining made beside their sources: ``clip.poise.json``.
MARK: Final = ".poise"


@dataclass(frozen=True)
class Found:
    """A file, or a folder that is one recording.

    Attributes:
        path: where it is.
        below: its place below what was named.
        listed: whether it was found in a folder, where other files may lie.
    """

    path: Path
    below: Path
    listed: bool = False

    @property
    def is_known(self) -> bool:
        """Whether it is of a format that Poise reads, or would be if it were not damaged."""
        try:
            sample = Sample(self.path)
            return any(one.fits(sample) for one in formats())
        except DataError:
            return True


def found_in(text: str) -> Iterator[Found]:
    """Yield what a user means by a name; what refining made is passed over unless it is named.

    Args:
        text: a file, a folder (a recording, or of recordings at any depth), or a pattern.

    Raises:
        DataError: nothing is called like that.
    """
    path = Path(text)
    if not path.exists() and has_magic(text):
        matches = sorted(glob(text, recursive=True), key=in_order)
        if not matches:
            raise DataError(f"{text}: no file is called like that")
        for match in matches:
            if not _is_ours(Path(match)):
                yield from found_in(match)
        return
    sample = Sample(path)  # or it is missing
    if not sample.is_folder or _is_recording(path):
        yield Found(path, Path(path.name))
        return
    inside: list[Path] = []
    for folder, folders, files in os.walk(path):
        here = Path(folder)
        folders[:] = sorted((one for one in folders if one[0] != "."), key=in_order)
        recordings = [one for one in folders if _is_recording(here / one)]
        folders[:] = [one for one in folders if one not in recordings]
        inside += [here / one for one in sorted([*files, *recordings], key=in_order)]
    endings = {end for one in formats() for end in one.endings}
    for file in inside:
        known = file.is_dir() or file.suffix.lower() in endings
        if known and file.name[0] != "." and not _is_ours(file):
            yield Found(file, file.relative_to(path), listed=True)


def keypoint_files(text: str) -> list[Path]:
    """Return the keypoint files that a user means by a name, without others beside them.

    Raises:
        DataError: nothing is called like that, or it is a folder of other files.
    """
    files = [one.path for one in found_in(text) if not one.listed or one.is_known]
    if not files:
        raise DataError(f"{text}: no keypoint files in it; poise formats lists what is read")
    return files


def _is_recording(folder: Path) -> bool:
    sample = Sample(folder)
    return any(_fits(one, sample) for one in formats() if "/" in one.endings)


def _fits(one: Format, folder: Sample) -> bool:
    try:
        return one.fits(folder)
    except DataError:  # of a file in it, which says so itself when it is read
        return False


def _is_ours(path: Path) -> bool:
    return path.stem.endswith(MARK) or path.name.endswith(MARK)
