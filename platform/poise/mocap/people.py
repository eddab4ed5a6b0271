"""Who moves in a take: the folder it lies in, or what the naming rule of a known set says.

The rules are data, in ``people.toml``.
"""

import re
import tomllib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from pathlib import Path, PurePath
from typing import Final, Literal

from pydantic import TypeAdapter

from poise.runtime.errors import DataError
from poise.runtime.names import normal
from poise.runtime.printable import printable

#: CMU's take numbers: 07_01, mb_12_01, 93_charleston1.
_CMU_NAME: Final = re.compile(r"(?:[A-Za-z]+_)*(?P<take>(?P<subject>\d{1,3})_\w+)")
_CMU_PLAIN: Final = re.compile(r"(?:(?:mb|max|daz)_)?(\d{2,3})_\d{2,3}(_poses|_stageii)?", re.I)
#: How the conversions of CMU's database to BVH are called, and joints that only they have.
_CMU_BVH_NAME: Final = re.compile(r"(?:mb|max|daz)_\d{2,3}_\w+")
_CMU_BVH_JOINTS: Final = (b"LHipJoint", b"lButtock")
_HEAD_BYTES: Final = 16_384
#: 07, or for two people in one scene 20_21_rory1.
_CMU_FOLDER: Final = re.compile(r"S?(\d{1,3}(?:_\d{1,3})*)(?:_[A-Za-z]\w*)?")
_PERSON_WORD: Final = re.compile(r"(?:subject|subj|sub|person|actor|s|p)-?\d+", re.I)
_CONVERSIONS: Final = ("mb", "max", "daz", "cmu")
#: Folders that divide the takes of one person.
_SESSION: Final = re.compile(
    r"(session|day|take|trial|part|train|test|val|validation|seq)?[-_ ]?[\d_.-]*", re.I
)
_NO_FILE: Final = str.maketrans({"/": "_", "\\": "_"})
_CMU_TITLE: Final = "CMU"


#: Words of actions, as folders are called; -ing, -s and numbers may follow.
_ACTION: Final = re.compile(
    "(walk|run|jog|jump|hop|skip|danc|sit|stand|kick|throw|catch|idle|climb|crawl|turn|punch|wav"
    "|squat|lung|stretch|fall|carry|lift|reach|swim|crouch|march|gait|stair|step|balanc|box|push"
    "|pull)[a-z]?(e|s|es|ing)?",
    re.I,
)


@dataclass(frozen=True)
class PublishedSet:
    """How one set names people; the keys are explained in ``people.toml``."""

    title: str
    folder: str = ""
    person: str = ""
    name: str = ""
    anywhere: Literal["", "person", "name"] = ""
    people: str = ""
    everybody: str = ""
    numbered: bool = False
    aliases: Mapping[str, str] = field(default_factory=dict)

    @property
    def namespace(self) -> str:
        """Within what a name means one person."""
        return self.people or self.title

    def is_folder(self, part: str) -> bool:
        """Say whether a folder is that of the set."""
        return bool(self.folder and re.fullmatch(self.folder, part, re.I))

    def in_folder(self, part: str) -> str:
        """Return the person a folder is named after, or nothing."""
        return self.aliases.get(part.casefold(), "") or self._found(self.person, part)

    def in_name(self, stem: str) -> str:
        """Return the person a file is named after, or nothing."""
        return self._found(self.name, stem)

    def _found(self, pattern: str, text: str) -> str:
        found = re.fullmatch(pattern, text, re.I) if pattern else None
        name = next((value for value in found.groupdict().values() if value), "") if found else ""
        return subject_name(name) if self.numbered else name


@dataclass(frozen=True)
class Person:
    """Who moves.

    Attributes:
        name: the subject.
        rule: how that was found, for the report.
        namespace: within what the name means one person; empty: everywhere.
    """

    name: str
    rule: str
    namespace: str = ""


def subject_name(text: str) -> str:
    """Return a subject's name: ``S07`` for the number 7, any other text as it is."""
    return f"S{int(text):02d}" if text.isdecimal() else text


def is_action(name: str) -> bool:
    """Say whether a folder is called as what somebody does, not as somebody."""
    words = [word for word in re.split(r"[\W\d_]+", name) if word]
    return bool(words) and _ACTION.fullmatch(words[0]) is not None


def safe_name(text: str) -> str:
    """Return a name of a file or folder as it may stand in a lake and on a terminal."""
    shown = printable(normal(text.strip()).translate(_NO_FILE))
    return shown.replace("\\", "%")


@cache
def published_sets() -> tuple[PublishedSet, ...]:
    """Return the known sets."""
    content = tomllib.loads(files("poise.mocap").joinpath("people.toml").read_text("utf-8"))
    return tuple(TypeAdapter(list[PublishedSet]).validate_python(content["sets"]))


@dataclass(frozen=True)
class Naming:
    """How the people of one folder are told apart.

    Attributes:
        root: the folder.
        subject_from: ``folder``, ``name`` or a regular expression of the path below the root, in
            which the first group names the person; empty: rules of known sets, else the folder.
        cmu_numbers: CMU's subjects whose skeletons are there.
    """

    root: Path
    subject_from: str = ""
    cmu_numbers: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        """Refuse what is no regular expression."""
        try:
            re.compile(self.subject_from)
        except re.error as error:
            raise DataError(
                f"--subject-from {self.subject_from}: no regular expression ({error})"
            ) from None

    def person(self, file: Path) -> Person:
        """Return who moves in a file below the root.

        Raises:
            DataError: the regular expression finds nobody.
        """
        inside = file.relative_to(self.root)
        found = self._found(file, inside)
        return replace(found, name=safe_name(found.name), namespace=safe_name(found.namespace))

    def _found(self, file: Path, inside: PurePath) -> Person:
        folder = file.parent.name or self.root.resolve().name
        if self.subject_from == "folder":
            return Person(self._folder(inside), "--subject-from folder")
        if self.subject_from == "name":
            return Person(_named(file.stem), "--subject-from name")
        if self.subject_from:
            return _matched(self.subject_from, inside)
        return self._published(inside) or self._cmu(file) or self._default(inside, folder)

    def _folder(self, inside: PurePath) -> str:
        return inside.parts[-2] if len(inside.parts) > 1 else self.root.resolve().name

    def _published(self, inside: PurePath) -> Person | None:
        root = self.root.resolve()
        parts = [*root.parts[-2:], *inside.parts[:-1]]
        stem = inside.stem
        for depth in range(len(parts) - 1, -1, -1):
            for one in published_sets():
                if one.is_folder(parts[depth]):
                    return _of_set(one, parts[depth + 1 :], stem)
        for one in published_sets():
            name = one.in_name(stem) if one.anywhere == "name" else ""
            if one.anywhere == "person" and len(inside.parts) > 1:
                name = one.in_folder(inside.parts[-2])
            if name:
                return Person(name, f"{one.title}'s names", one.namespace)
        return _flattened(stem)

    def _cmu(self, file: Path) -> Person | None:
        named = _CMU_NAME.fullmatch(file.stem)
        if not named:
            return None
        number = int(named["subject"])
        folder = _CMU_FOLDER.fullmatch(file.parent.name)
        plain = _CMU_PLAIN.fullmatch(file.stem)
        in_folder = folder and number in map(int, folder[1].split("_"))
        kind = file.suffix.lower()
        skeleton = kind in (".amc", ".bvh") and number in self.cmu_numbers
        if (plain and in_folder) or skeleton or (kind == ".bvh" and _is_cmu_bvh(file)):
            return Person(subject_name(named["subject"]), "CMU's number", _CMU_TITLE)
        return None

    def _default(self, inside: PurePath, folder: str) -> Person:
        name, parent = self._folder(inside), inside.parts[-3:-2]
        # AMASS's own layout is set/person/take; a number or letter means somebody in that set.
        is_set = inside.suffix.lower() == ".npz" and parent and not _SESSION.fullmatch(parent[0])
        local = is_set and any(letter.isdecimal() for letter in name)
        return Person(name or folder, "folder", parent[0] if local else "")


def take_name(file: Path, person: Person) -> str:
    """Return what a take is called: the file's name, of CMU's without the conversion's prefix."""
    named = _CMU_NAME.fullmatch(file.stem) if person.namespace == _CMU_TITLE else None
    return safe_name(named["take"] if named else file.stem)


def told_apart(people: Sequence[Person]) -> list[str]:
    """Return everybody's subject, in order.

    Equal names of different sets get the set's name in front; names that differ in case alone, as
    folders on some disks do not, are one person.
    """
    spaces: dict[str, dict[str, str]] = defaultdict(dict)
    for one in people:
        spaces[one.name.casefold()].setdefault(one.namespace, one.name)
    subjects = []
    for one in people:
        same = spaces[one.name.casefold()]
        name = same[one.namespace]
        plain = len(same) == 1 or one.namespace in ("", _CMU_TITLE, "MPI")
        subjects.append(name if plain else f"{one.namespace}-{name}")
    return subjects


def _of_set(one: PublishedSet, below: Sequence[str], stem: str) -> Person:
    rule = f"{one.title}'s names"
    folders = [name for name in map(one.in_folder, reversed(below)) if name]
    name = one.in_name(stem) or next(iter(folders), "") or one.everybody
    if name:
        return Person(name, rule, one.namespace)
    flat = _flattened(stem, (one,))
    if flat:
        return flat
    return Person(below[-1] if below else one.title, "folder", one.namespace)


def _flattened(stem: str, sets: Sequence[PublishedSet] | None = None) -> Person | None:
    """Read names such as ``KIT_3_walk_poses``, into which people turn ``KIT/3/walk_poses``."""
    words = stem.split("_")
    for one in published_sets() if sets is None else sets:
        starts = [n for n in range(1, min(len(words), 4)) if one.is_folder("_".join(words[:n]))]
        for start in starts:
            for end in range(len(words) - 1, start, -1):
                name = one.in_folder("_".join(words[start:end]))
                if name:
                    return Person(name, f"{one.title}'s names", one.namespace)
    return None


def _matched(pattern: str, inside: PurePath) -> Person:
    path = inside.with_suffix("").as_posix()
    found = re.search(pattern, path)
    groups = [group for group in found.groups() if group] if found else []
    name = (found.groupdict().get("subject") or [*groups, found[0]][0]) if found else ""
    if not name.strip("/ "):
        raise DataError(f"{path}: --subject-from {pattern} finds nobody in it")
    return Person(name.strip("/ ").replace("/", "-"), "--subject-from REGEX")


def _named(stem: str) -> str:
    for one in published_sets():
        name = one.in_name(stem) if one.anywhere == "name" else ""
        if name:
            return name
    words = [word for word in re.split(r"[_. ]+", stem) if word]
    person = next((word for word in words if _PERSON_WORD.fullmatch(word)), "")
    rest = [word for word in words if word.lower() not in _CONVERSIONS]
    return person or subject_name((rest or words or [stem])[0])


def _is_cmu_bvh(file: Path) -> bool:
    if _CMU_BVH_NAME.fullmatch(file.stem):
        return True
    try:
        with file.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
    except OSError:
        return False  # reading the take says why
    return any(joint in head for joint in _CMU_BVH_JOINTS)
