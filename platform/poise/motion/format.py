"""What a keypoint format is: how its files are known, read and written, and what they hold."""

import itertools
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from poise.motion.motion import Motion
from poise.motion.style import TextStyle
from poise.readers.untrusted.object_npz import npz_keys
from poise.runtime.errors import DataError, in_short
from poise.runtime.text.files import decode, encoding, read_file

#: Enough for the header of any text format.
_HEAD: Final = 2**16
#: Of a folder: at 60 frames a second 4.6 hours.
_MOST_FILES: Final = 10**6
_NUMBER: Final = re.compile(r"\d+")

#: Bytes of a file of which only a part is in memory at a time, where its format can.
_LONG: Final = 2**24


@dataclass(frozen=True)
class Parts:
    """A file's bytes, made part after part while it is written."""

    parts: Iterable[bytes]


#: A file's bytes; of a folder, names and bytes of its files.
Written = bytes | Parts | Iterable[tuple[str, bytes]]


@dataclass(frozen=True)
class Format:
    """A keypoint format.

    Attributes:
        name: what users call it.
        about: whose it is, in a line.
        endings: of its files, in lower case; the first is the usual one. ``/`` for a folder.
        fields: what each field of a file means.
        fits: whether a file is of this format, by its content.
        read: reads it; raises `DataError`.
        write: makes the file; None where the format is only read.
        dims: dimensions of the joints it holds.
        holds: which of ``people``, ``confidence``, ``names``, ``rate``, ``times`` (uneven ones,
            too), ``identity``, ``unit`` a file can say.
        sets: joint set that so many joints are, where files do not name them.
        only_over: formats of files with whose contents alone it is written; none where it is
            written of any motion.
        rigid: whether it holds a body of constant bones that is always there, and nothing else.
    """

    name: str
    about: str
    endings: tuple[str, ...]
    fields: Mapping[str, str]
    fits: "Callable[[Sample], bool]"
    read: "Callable[[Sample], Motion]"
    write: Callable[[Motion], Written] | None = None
    dims: tuple[int, ...] = (2, 3)
    holds: frozenset[str] = field(default_factory=frozenset)
    sets: Mapping[int, str] = field(default_factory=dict)
    only_over: tuple[str, ...] = ()
    rigid: bool = False


@dataclass(frozen=True)
class Sample:
    """A file that is looked at: what formats know it by, each part read once and when asked for."""

    path: Path

    def __post_init__(self) -> None:
        """Raise `DataError` where there is nothing to read."""
        try:
            if not self.path.exists():
                raise DataError(f"{self.path}: no such file or folder")
            if not self.path.is_dir() and not self.path.is_file():
                raise DataError(f"{self.path}: is no file")
        except OSError as error:
            raise DataError(f"{self.path}: cannot be read ({in_short(error)})") from None

    @cached_property
    def is_folder(self) -> bool:
        """Whether it is a folder of files."""
        return self.path.is_dir()

    @cached_property
    def ending(self) -> str:
        """The ending of its name, in lower case; ``/`` of a folder."""
        return "/" if self.is_folder else self.path.suffix.lower()

    @cached_property
    def head(self) -> bytes:
        """Its first bytes; none of a folder."""
        if self.is_folder:
            return b""
        try:
            with self.path.open("rb") as stream:
                return stream.read(_HEAD)
        except OSError as error:
            raise DataError(f"{self.path}: cannot be read ({in_short(error)})") from None

    @cached_property
    def head_lines(self) -> list[str]:
        """The first lines, as far as they are whole; empty where it is no text."""
        if b"\0" in self.head and encoding(self.head) == "utf-8":
            return []
        text = self.head.decode(encoding(self.head), "replace").lstrip("\ufeff")
        return re.split(r"\r\n|\r|\n", text)[: 2**10]

    @cached_property
    def content(self) -> bytes:
        """All its bytes; raise `DataError` where they are too many for memory."""
        return read_file(self.path)

    @cached_property
    def is_long(self) -> bool:
        """Whether it is better read piece by piece."""
        return not self.is_folder and self.path.stat().st_size > _LONG

    @cached_property
    def style(self) -> TextStyle:
        """Encoding and line ends, to write it back."""
        return TextStyle.of(self.content)

    @cached_property
    def text(self) -> str:
        r"""Its whole text, lines ended by ``\n``; raise `DataError` where it is none."""
        content = self.content
        try:
            return decode(content)
        except UnicodeDecodeError as error:
            if error.encoding == "utf-8" and b"\0" not in content:
                # Numbers and keywords are ASCII, whatever the names are in.
                return decode(content.decode("latin-1").encode())
            line = content.count(b"\n", 0, error.start) + 1
            raise DataError(
                f"{self.path}, line {line}: is no {error.encoding.upper()} text; save it as UTF-8"
            ) from None

    @property
    def begins_as_json(self) -> bool:
        """Whether it looks like JSON."""
        return not self.is_folder and "".join(self.head_lines[:20]).lstrip().startswith(("[", "{"))

    @cached_property
    def document(self) -> Any:
        """What is in it as JSON; None where it does not look like that.

        Raises:
            DataError: it begins as JSON and is damaged.
        """
        if not self.begins_as_json:
            return None
        return parse_json(self.path, self.text)

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The keys of an npz file; none of any other."""
        return npz_keys(self.path) if self.head.startswith(b"PK\x03\x04") else ()

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """The files in a folder, ``frame_2`` before ``frame_10``; links that leave it are refused.

        Raises:
            DataError: the folder cannot be read, has too many files, or a link leads elsewhere.
        """
        if not self.is_folder:
            return ()
        try:
            names = [one.name for one in itertools.islice(self.path.iterdir(), _MOST_FILES + 1)]
        except OSError as error:
            raise DataError(f"{self.path}: cannot be read ({in_short(error)})") from None
        if len(names) > _MOST_FILES:
            raise DataError(f"{self.path}: more than {_MOST_FILES:,} files; cut it into takes")
        found = [self.path / name for name in sorted(names, key=in_order) if name[0] != "."]
        home = self.path.resolve()
        for file in found:
            if file.is_symlink() and not file.resolve().is_relative_to(home):
                raise DataError(f"{file}: a link out of its folder; put the file itself there")
        return tuple(file for file in found if file.is_file())


def json_files(sample: Sample) -> list[Path]:
    """Return the JSON files of a folder; of a file, itself."""
    if not sample.is_folder:
        return [sample.path]
    return [file for file in sample.files if file.suffix.lower() == ".json"]


def document_of(file: Path, content: bytes) -> Any:
    """Return what is in a JSON file of a folder; raise `DataError` where it is damaged."""
    try:
        return parse_json(file, decode(content))
    except UnicodeDecodeError:
        raise DataError(f"{file}: is no UTF-8 text; copy it again") from None


def in_order(name: str) -> tuple[Any, ...]:
    """Return what names are sorted by, so that 2 comes before 10."""
    words, numbers = _NUMBER.split(name), _NUMBER.findall(name)
    # Numbers of any length: digits are compared, not converted.
    parts = [(len(one.lstrip("0")), one.lstrip("0")) for one in numbers]
    return tuple(
        itertools.chain.from_iterable(itertools.zip_longest(words, parts, fillvalue=()))
    ), name


def parse_json(path: Path, text: str) -> Any:
    """Parse JSON; raise `DataError` with the line where it is damaged."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        what = "ends too early" if error.pos >= len(text.rstrip()) - 1 else error.msg.lower()
        raise DataError(
            f"{path}, line {error.lineno}, column {error.colno}: JSON that {what}; copy or write "
            "the file again"
            if what == "ends too early"
            else f"{path}, line {error.lineno}, column {error.colno}: is no JSON ({what}); copy or "
            "write the file again"
        ) from None
    except RecursionError:
        raise DataError(f"{path}: lists nested too deep for any keypoint file") from None
    except ValueError as error:
        raise DataError(f"{path}: is no JSON ({in_short(error)}); write the file again") from None
