"""A report as one HTML file that loads nothing: it can be sent, kept and printed."""

import html
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from poise.report.pages.document import (
    Block,
    Cell,
    Document,
    Items,
    Picture,
    Section,
    Skeletons,
    Table,
    Terms,
    Text,
)
from poise.runtime.page.template import filled

#: Longer tables are folded, and longer words wrapped.
_LONG_TABLE: Final = 40
_LONG_CELL: Final = 36
#: Of skeletons, in pixels.
_HEIGHT: Final = 340


def page(document: Document) -> str:
    """Return the page."""
    scenes: list[dict[str, Any]] = []
    body = "\n".join(_body(document, scenes))
    return filled("poise.report.pages", "page.html", scenes, TITLE=_text(document.title), BODY=body)


def _body(document: Document, scenes: list[dict[str, Any]]) -> Iterator[str]:
    yield f"<h1>{_text(document.title)}</h1>\n<p>{_text(document.about)}</p>"
    if document.figures:
        boxes = (
            f"<div><b>{_text(a)}</b><span>{_text(b)}</span></div>" for a, b in document.figures
        )
        yield f'<div class="figures">{"".join(boxes)}</div>'
    named = [(f"s{number}", section) for number, section in enumerate(document.sections)]
    links = (
        f'<a href="#{anchor}">{_text(section.title)}</a>'
        for anchor, section in named
        if section.level == 2 or len(named) < 20
    )
    yield f"<nav>{''.join(links)}</nav>"
    for anchor, section in named:
        yield f'<h{section.level} id="{anchor}">{_text(section.title)}</h{section.level}>'
        yield from _blocks(section, scenes)


def _blocks(section: Section, scenes: list[dict[str, Any]]) -> Iterator[str]:
    """Blocks one below the other; pictures that follow each other stand side by side."""
    beside: list[str] = []
    for block in section.blocks:
        if isinstance(block, Picture):
            beside.append(_picture(block))
            continue
        if beside:
            yield _panels(beside)
            beside = []
        yield _block(block, scenes)
    if beside:
        yield _panels(beside)


def _panels(pictures: Sequence[str]) -> str:
    return f'<div class="panels">{"".join(pictures)}</div>'


def _block(block: Block, scenes: list[dict[str, Any]]) -> str:
    match block:
        case Text():
            return f"<p>{_text(block.text)}</p>"
        case Items():
            return f"<ul>{''.join(f'<li>{_text(item)}</li>' for item in block.items)}</ul>"
        case Terms():
            pairs = (f"<dt>{_text(a)}</dt><dd>{_text(b)}</dd>" for a, b in block.pairs)
            return f"<dl>{''.join(pairs)}</dl>"
        case Table():
            return _table(block)
        case Skeletons():
            scenes.append(block.data)
            return _skeletons(block, len(scenes) - 1)
        case Picture():
            return _picture(block)


def _picture(picture: Picture) -> str:
    whole = ' class="whole"' if picture.wide else ""
    return f"<figure{whole}><figcaption>{_text(picture.caption)}</figcaption>{picture.svg}</figure>"


def _skeletons(block: Skeletons, number: int) -> str:
    return (
        f'<figure data-scene="{number}"><figcaption>{_text(block.caption)}</figcaption>'
        f'<canvas height="{_HEIGHT}" aria-label="{_text(block.caption)}"></canvas>'
        '<div class="controls"><button>pause</button>'
        '<input type="range" min="0" value="0" aria-label="frame"><span class="now"></span></div>'
        "</figure>"
    )


def _table(table: Table) -> str:
    words = [' class="word"' if at in table.left else "" for at in range(len(table.header))]
    head = "".join(
        f"<th{word}>{_text(name)}</th>" for name, word in zip(table.header, words, strict=True)
    )
    rows = "".join(
        f"<tr>{''.join(_cell(cell, at in table.left) for at, cell in enumerate(row))}</tr>"
        for row in table.rows
    )
    long = len(table.rows) > _LONG_TABLE
    caption = f"<caption>{_text(table.caption)}</caption>" if table.caption and not long else ""
    small = ' class="small"' if len(table.header) > 8 or long else ""
    text = (
        f'<div class="wide"><table{small}>{caption}<thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )
    if long:
        summary = f"{table.caption or 'Table'}: {len(table.rows)} rows"
        text = f"<details><summary>{_text(summary)}</summary>{text}</details>"
    notes = "".join(f"<p>{_text(note)}</p>" for note in table.notes)
    return text + (f'<div class="notes">{notes}</div>' if notes else "")


def _cell(cell: Cell, word: bool) -> str:
    kinds = [
        name
        for name, applies in (
            ("word", word),
            ("best", cell.bold),
            ("long", len(cell.text) > _LONG_CELL),
        )
        if applies
    ]
    kind = f' class="{" ".join(kinds)}"' if kinds else ""
    shade = ""
    if cell.shade is not None:
        shade = f' style="background: rgba(var(--shade), {0.55 * cell.shade:.2f})"'
    text = _text(cell.text)
    if cell.href:
        text = f'<a href="{_text(cell.href)}">{text}</a>'
    small = f"<small>{_text(cell.small)}</small>" if cell.small else ""
    return f"<td{kind}{shade}>{text}{small}</td>"


def _text(text: str) -> str:
    """Escape a text; what is between backticks is code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))
