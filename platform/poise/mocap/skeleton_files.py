"""Which skeleton (ASF) belongs to which Acclaim take: the nearest one that fits its name."""

import os
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Self

from poise.mocap.people import published_sets, subject_name
from poise.runtime.errors import DataError
from poise.runtime.text.files import read_file

#: What macOS puts beside files in archives.
_NO_FOLDERS: Final = ("__MACOSX",)
_NO_FILES: Final = "._"
_TAKE_NUMBER: Final = re.compile(r"(?:[A-Za-z]+_)*(\d+)_\w+")


@dataclass(frozen=True)
class SkeletonFiles:
    """The ASF files of some folders.

    Attributes:
        root: the folder of the takes.
        files: those at any depth below the root, then those below further folders.
        people: everybody's subject in lower case: a file called after one is no other's.
    """

    root: Path = Path()
    files: tuple[Path, ...] = ()
    people: frozenset[str] = frozenset()

    @classmethod
    def below(cls, root: Path, further: Path | None = None) -> Self:
        """Find them; raise `DataError` where a folder is none."""
        found: list[Path] = []
        for folder in (root, *([further] if further else [])):
            if not folder.is_dir():
                raise DataError(f"{folder}: not a folder")
            # One that cannot be read stays: no other is its takes' skeleton.
            found += [file for file in files_below(folder) if file.suffix.lower() == ".asf"]
        return cls(root, tuple(dict.fromkeys(found)))

    @cached_property
    def numbers(self) -> frozenset[int]:
        """Numbers as CMU calls skeletons, but those that several people have."""
        named: dict[int, list[Path]] = defaultdict(list)
        for file in self.files:
            if file.stem.isdecimal():
                named[int(file.stem)].append(file)
        return frozenset(number for number, files in named.items() if _all_alike(files))

    @cached_property
    def _by_folder(self) -> dict[Path, list[Path]]:
        found: dict[Path, list[Path]] = defaultdict(list)
        for file in self.files:
            found[file.parent].append(file)
        return found

    def of(self, take: Path, subject: str) -> Path | None:
        """Return the skeleton of a take, or None where there is none.

        The nearest folder counts first, from the take's own to the root; in each the file called
        after the subject, or whose name the take's begins with, then the only one there is. At last
        any other file of such a name.

        Raises:
            DataError: several fit equally well.
        """
        folders = [take.parent, *take.parent.parents]
        if self.root in folders:
            folders = folders[: folders.index(self.root) + 1]
        crowd: list[Path] = []
        for folder in folders:
            beside = self._by_folder.get(folder, [])
            found = _called(beside, take.stem, subject)
            found = found or [file for file in beside if self._may_be(file, take.stem, subject)]
            if len(beside) == 1 or _is_called(found, take.stem, subject):
                if found:
                    return _only(found, take)
            else:
                crowd = crowd or found
        elsewhere = _called(self.files, take.stem, subject)
        return _only(elsewhere or crowd, take) if elsewhere or crowd else None

    def _may_be(self, skeleton: Path, stem: str, subject: str) -> bool:
        """Say whether a file that is not called after the take can be its skeleton all the same."""
        number = _TAKE_NUMBER.fullmatch(stem)
        if skeleton.stem.isdecimal() and number:
            return False  # CMU's, of another number
        if skeleton.stem.casefold() in self.people - {subject.casefold()}:
            return False
        named = [
            one.in_name(f"{skeleton.stem}_x") for one in published_sets() if one.anywhere == "name"
        ]
        return not any(name and name.casefold() != subject.casefold() for name in named)


def files_below(folder: Path) -> Iterator[Path]:
    """Return all files below a folder but those macOS adds, sorted; follow links, each once."""
    seen: set[tuple[int, int]] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        known = os.stat(place)
        if (known.st_dev, known.st_ino) in seen:
            folders.clear()
            continue
        seen.add((known.st_dev, known.st_ino))
        folders[:] = sorted(name for name in folders if name not in _NO_FOLDERS)
        yield from (Path(place, name) for name in sorted(names) if not name.startswith(_NO_FILES))


def _called(files: Sequence[Path], stem: str, subject: str) -> list[Path]:
    """Return those that are called after the subject or the take, the longest names."""
    found = {file: length for file in files if (length := _fits(file.stem, stem, subject))}
    longest = max(found.values(), default=0)
    return [file for file, length in found.items() if length == longest]


def _is_called(found: Sequence[Path], stem: str, subject: str) -> bool:
    return bool(found) and bool(_fits(found[0].stem, stem, subject))


def _fits(skeleton: str, stem: str, subject: str) -> int:
    name, take, person = skeleton.casefold(), stem.casefold(), subject.casefold()
    begins = take.startswith(name) and not take[len(name) : len(name) + 1].isalnum()
    number = _TAKE_NUMBER.fullmatch(stem)
    same_number = number and skeleton.isdecimal() and int(number[1]) == int(skeleton)
    ends = person.endswith(name) and not person[: -len(name)][-1:].isalnum()
    if begins or same_number or ends or subject_name(skeleton).casefold() == person:
        return max(len(name), 1)
    return 0


def _only(files: Sequence[Path], take: Path) -> Path:
    if not _all_alike(files):
        raise DataError(
            f"{take}: {' and '.join(map(str, files[:2]))} could both be its skeleton; name the "
            "right one as the take's name begins, or put it into the take's own folder"
        )
    return files[0]


def _all_alike(files: Sequence[Path]) -> bool:
    return len(files) < 2 or len({_content(file) for file in files}) == 1


def _content(file: Path) -> bytes:
    try:
        return read_file(file)
    except DataError:
        return os.fsencode(file)  # like no other; reading it as a skeleton says why
