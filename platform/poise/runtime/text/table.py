"""Tables as aligned text."""

from collections.abc import Collection, Sequence

from poise.runtime.printable import printable


def text_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], left: Collection[int] = (0,)
) -> str:
    """Return a table as lines: header, ruler, rows.

    Args:
        header: names of the columns.
        rows: as many cells each.
        left: columns that are aligned to the left; numbers belong to the right.
    """
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = [header, ["─" * width for width in widths], *rows]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place in left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
