"""JSON files with a list of people for each frame, and folders of files with one each."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poise.motion.format import Sample, Written, document_of, json_files
from poise.motion.motion import Motion
from poise.motion.style import TextStyle
from poise.motion.text.json_text import list_of, rewritten
from poise.motion.text.triples import frame_numbers, with_id
from poise.runtime.errors import DataError
from poise.runtime.text.files import decode, read_file

Spot = tuple[int, int]


@dataclass(frozen=True)
class Frames:
    """What a file says, frame by frame.

    Attributes:
        lists: the people of each frame, in the file's order; others than lists are nobody.
        order: places of the frames, sorted by number.
        numbers_F: the numbers, rising.
    """

    lists: Sequence[Any]
    order: Sequence[int]
    numbers_F: NDArray[np.int64]

    def people(self) -> Iterator[tuple[int, int, int, Any]]:
        """Yield everybody: number and place of the frame, place in its list, and what it says."""
        for at, place in enumerate(self.order):
            found = self.lists[place]
            for person, instance in enumerate(found if isinstance(found, list) else []):
                yield at, place, person, instance


@dataclass(frozen=True)
class InstancesRest:
    """The text of a file, and where its entries are.

    Attributes:
        style: of the text; of a folder None, and `text` empty: all is in `contents`.
        key: of the list of frames in the document; "" where the document is that list.
        inner: of the list of people in a frame; "" where a frame is that list; None where there
            is one frame, and the document is its list.
        places_E2: of each entry, the place of its frame, and its own in that frame's list.
        places: of the frames in the file, by their number.
        contents: of a folder, names and bytes of its files, by the place of their frame.
    """

    style: TextStyle | None
    text: str
    key: str
    inner: str | None
    places_E2: NDArray[np.int64]
    places: dict[int, int]
    contents: Sequence[tuple[str, bytes]] = ()

    @classmethod
    def of(
        cls,
        sample: Sample,
        frames: "Frames",
        places: Sequence[tuple[int, int]],
        contents: Sequence[tuple[str, bytes]],
        key: str = "",
        inner: str | None = None,
    ) -> "InstancesRest":
        """Return what is kept of a file, or of a folder, whose files are in ``contents``."""
        return cls(
            None if contents else sample.style,
            "" if contents else sample.text,
            key,
            inner,
            np.array(places, np.int64),
            dict(zip(frames.numbers_F.tolist(), frames.order, strict=True)),
            contents,
        )


def folder_of_lists(sample: Sample) -> tuple[Frames, list[tuple[str, bytes]]]:
    """Return a folder's files as frames, and their names and bytes.

    Raises:
        DataError: one of them is no list of people.
    """
    files = json_files(sample)
    contents = [(file.name, read_file(file)) for file in files]
    numbers = frame_numbers([file.name for file in files])
    lists = [document_of(file, content) for file, (_, content) in zip(files, contents, strict=True)]
    for file, one in zip(files, lists, strict=True):
        if not isinstance(one, list):
            raise DataError(f"{file}: no list of people, as the others are; take it out")
    return Frames(lists, range(len(files)), numbers), contents


def first_list(sample: Sample) -> list[Any]:
    """Return what the first file of a folder says in which somebody is; nothing where none does."""
    for file in json_files(sample):
        document = document_of(file, read_file(file))
        if document != []:
            return document if isinstance(document, list) else []
    return []


def in_number_order(path: Any, numbers: Sequence[Any]) -> tuple[list[int], NDArray[np.int64]]:
    """Return the places of frames sorted by their numbers, and the numbers.

    Raises:
        DataError: two frames have one number.
    """
    if not all(isinstance(one, int) and abs(one) < 2**40 for one in numbers):
        return [*range(len(numbers))], np.arange(len(numbers))
    order = sorted(range(len(numbers)), key=lambda place: numbers[place])
    found = [numbers[place] for place in order]
    twice = next((a for a, b in pairwise(found) if a == b), None)
    if twice is not None:
        raise DataError(f"{path}: frame {twice} is there twice; take one of them out")
    return order, np.array(found, np.int64)


def written(
    motion: Motion,
    changed: Callable[[Spot, str, Any], str],
    added: Callable[[Spot], str],
    whole: Callable[[list[tuple[int, str]]], str],
) -> Written:
    """Return the file, or the folder's files, that a motion came from, with its people in place.

    Args:
        motion: whose frames and people; what it lacks is left out.
        changed: returns somebody's text anew; gets frame and person, the text, and what it says.
        added: returns the text of somebody who is new in a frame.
        whole: returns the text of a motion that came from elsewhere; gets each frame's number and
            its people, one after the other.
    """
    rest = motion.rest
    if not isinstance(rest, InstancesRest) or motion.entries_FP is None:
        seen_FP: NDArray[np.bool_] = np.any(motion.seen_FPJ, axis=-1)
        frames = [
            ", ".join(added((at, person)) for person in np.flatnonzero(seen_P).tolist())
            for at, seen_P in enumerate(seen_FP)
        ]
        return whole(list(zip(motion.frames_F.tolist(), frames, strict=True))).encode()
    new = _New(motion, rest, changed, added)
    if rest.style is None:
        return [
            (name, new.file(content, place))
            for place, (name, content) in enumerate(rest.contents)
            if place in new.frame_at
        ]
    return rest.style.encode(new.text())


class _New:
    def __init__(
        self,
        motion: Motion,
        rest: InstancesRest,
        changed: Callable[[Spot, str, Any], str],
        added: Callable[[Spot], str],
    ) -> None:
        self.motion, self.rest, self.changed, self.added = motion, rest, changed, added
        #: The motion's frame, by the place of the file's.
        self.frame_at = {
            rest.places[n]: f for f, n in enumerate(motion.frames_F.tolist()) if n in rest.places
        }
        entries: Any = motion.entries_FP
        self.where = {
            tuple(rest.places_E2[entries[frame, person]].tolist()): (frame, person)
            for frame, person in np.argwhere(entries >= 0).tolist()
        }

    def text(self) -> str:
        rest = self.rest
        start = list_of(rest.text, rest.key) if rest.key else rest.text.index("[")
        if rest.inner is None:
            return self.people(rest.text, start, 0)

        def frame(place: int, _: Any, begin: int, end: int) -> str | None:
            if place not in self.frame_at:
                return None
            inner = rest.text[begin:end]
            at = list_of(inner, rest.inner) if rest.inner else inner.find("[")
            return inner if at < 0 else self.people(inner, at, place)

        return rewritten(rest.text, start, frame, [])

    def file(self, content: bytes, place: int) -> bytes:
        text = decode(content)
        new = self.people(text, text.index("["), place)
        return content if new == text else TextStyle.of(content).encode(new)

    def people(self, text: str, start: int, place: int) -> str:
        """Return a text with the list of people of a frame that begins at a place changed."""

        def change(number: int, instance: Any, begin: int, end: int) -> str | None:
            spot = self.where.get((place, number))
            if spot is None:
                return None
            new = self.changed(spot, text[begin:end], instance)
            return with_id(new, ("track_id",), self.motion, spot[1])

        frame, entries = self.frame_at.get(place), self.motion.entries_FP
        if frame is None or entries is None:
            return rewritten(text, start, change, [])
        new = (entries[frame] < 0) & self.motion.seen_FPJ[frame].any(-1)
        more = [self.added((frame, person)) for person in np.flatnonzero(new).tolist()]
        return rewritten(text, start, change, more)
