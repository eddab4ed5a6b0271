"""A report as sections of texts, tables and pictures, whatever it is written as."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: what it says.
        small: what stands below it, in small letters.
        bold: whether it is better than the others by more than chance.
        shade: from 0 to 1, how strongly its ground is coloured; None where it is not.
        href: where a click leads.
    """

    text: str
    small: str = ""
    bold: bool = False
    shade: float | None = None
    href: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of cells; ``left`` are the columns of words, which belong to the left."""

    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    left: Sequence[int] = (0,)
    caption: str = ""
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Items:
    """Sentences one below the other."""

    items: Sequence[str]


@dataclass(frozen=True)
class Terms:
    """Words, and what each stands for; ``code`` are set as what a machine reads."""

    pairs: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Picture:
    """A drawing.

    Attributes:
        svg: it, which takes its colours from the page.
        caption: what it shows, above it.
        wide: whether it takes the whole width; others stand side by side.
    """

    svg: str
    caption: str
    wide: bool = False


@dataclass(frozen=True)
class Skeletons:
    """Motions over time.

    Attributes:
        caption: what they are.
        data: bones, frame rate, and poses, as the page's script takes them.
    """

    caption: str
    data: dict[str, Any]


Block = Table | Text | Items | Terms | Picture | Skeletons


@dataclass(frozen=True)
class Section:
    """A part of a report under a heading; ``level`` 3 is below one of 2."""

    title: str
    blocks: Sequence[Block]
    level: int = 2


@dataclass(frozen=True)
class Document:
    """A whole report.

    Attributes:
        about: what it is about, in a sentence.
        figures: what a reader wants to know first, each with what it is.
    """

    title: str
    about: str
    sections: Sequence[Section]
    figures: Sequence[tuple[str, str]] = field(default_factory=tuple)


def cells(texts: Sequence[str]) -> list[Cell]:
    """Return plain cells."""
    return [Cell(text) for text in texts]
