"""A report as Markdown: texts and tables; for pictures it names the page."""

from collections.abc import Iterator

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


def markdown(document: Document, page: str) -> str:
    """Return the text.

    Args:
        document: what it says.
        page: name of the page beside it, which has the pictures.
    """
    parts = [
        f"# {document.title}",
        document.about,
        f"Pictures, and skeletons that move: [{page}]({page}).",
        "\n".join(f"- {what}: **{figure}**" for figure, what in document.figures),
    ]
    for section in document.sections:
        blocks = list(_blocks(section))
        if blocks:
            parts += [f"{'#' * section.level} {section.title}", *blocks]
    return "\n\n".join(part for part in parts if part) + "\n"


def _blocks(section: Section) -> Iterator[str]:
    for block in section.blocks:
        text = _block(block)
        if text:
            yield text


def _block(block: Block) -> str:
    match block:
        case Text():
            return block.text
        case Items():
            return "\n".join(f"- {item}" for item in block.items)
        case Terms():
            return "\n".join(f"- {word}: {meaning}" for word, meaning in block.pairs)
        case Table():
            return _table(block)
        case Picture() | Skeletons():
            return ""


def _table(table: Table) -> str:
    ruler = ["---" if at in table.left else "---:" for at in range(len(table.header))]
    rows = [list(table.header), ruler, *([_cell(cell) for cell in row] for row in table.rows)]
    lines = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    caption = [f"**{table.caption}**"] if table.caption else []
    return "\n\n".join([*caption, lines, *table.notes])


def _cell(cell: Cell) -> str:
    text = f"**{cell.text}**" if cell.bold else cell.text
    if cell.href:
        text = f"[{text}]({cell.href})"
    whole = f"{text} ({cell.small})" if cell.small and text else text or cell.small
    return whole.replace("|", "\\|").replace("\n", " ")
