"""What commands print: colours and bars in a terminal, plain lines in pipes and logs."""

import sys
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any, Self

from poise.runtime.text_table import text_table

Say = Callable[[str], None]


def in_terminal() -> bool:
    """Say whether somebody looks at what is printed."""
    return sys.stdout.isatty()


def print_table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    left: Collection[int] = (0,),
    bold: Collection[tuple[int, int]] = (),
) -> None:
    """Print a table.

    Args:
        header: names of the columns.
        rows: as many cells each.
        left: columns that are aligned to the left; numbers belong to the right.
        bold: row and column of cells to set in bold, where there is a terminal.
    """
    if not in_terminal():
        print(text_table(header, rows, left))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for place, name in enumerate(header):
        justify = "left" if place in left else "right"
        table.add_column(Text(name), justify=justify, overflow="fold")  # type: ignore[arg-type]
    for number, row in enumerate(rows):
        styles = ["bold green" if (number, place) in bold else "" for place in range(len(row))]
        table.add_row(*(Text(cell, style) for cell, style in zip(row, styles, strict=True)))
    Console().print(table)


def stopwatch(form: str) -> Say:
    """Return what prints a line with the seconds since now.

    Args:
        form: with ``{seconds}`` and ``{line}``.
    """
    start = time.monotonic()

    def say(line: str) -> None:
        print(form.format(seconds=time.monotonic() - start, line=line), flush=True)

    return say


class Counter:
    """Shows how far work is: a bar in a terminal, a line for each step elsewhere."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        """Start the bar."""
        if in_terminal():
            from rich.progress import Progress

            self._bar = Progress(*Progress.get_default_columns(), transient=True)
            self._bar.start()
            self._task = self._bar.add_task("", total=None)
        return self

    def step(self, done: int, total: int, what: str) -> None:
        """Say that another step is done, and what came of it."""
        if self._bar is not None:
            self._bar.update(
                self._task, completed=done, total=total, description=what, refresh=True
            )
            return
        left_s = (time.monotonic() - self._start) / done * (total - done)
        print(f"[{done}/{total}, {left_s:.0f} s left] {what}", flush=True)

    def __exit__(self, *_: object) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
